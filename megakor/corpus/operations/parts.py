"""Which part of a split each document goes to: by the value of a field, or by ranges of its numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from megakor.corpus.operations.numbers import column_of, numbers_of
from megakor.errors import ConfigError

NONE = "none"
"""The part of documents without a value."""
_LONGEST_NAME = 100


class Parts(Protocol):
    """A way to sort documents into named parts."""

    def names(self, metadata: pa.RecordBatch) -> tuple[list[str], np.ndarray]:
        """Names of parts, and for each document the number of its one, int64 (documents,). Raises ConfigError."""
        ...


class ByValue:
    """A part for each value of a field: strings, whole numbers, true and false."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._values: dict[str, Any] = {}

    def names(self, metadata: pa.RecordBatch) -> tuple[list[str], np.ndarray]:
        column = column_of(metadata, self._field)
        if pa.types.is_nested(column.type):
            raise ConfigError(
                f"--field {self._field}: its values are {column.type}; documents cannot be split by them."
            )
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
        used, codes = np.unique(codes, return_inverse=True)
        values = [*encoded.dictionary.to_pylist(), None]
        found = [self._name(values[code]) for code in used]
        names = list(dict.fromkeys(found))  # null and an empty string are one part
        return names, np.array([names.index(name) for name in found], np.int64)[codes]

    def _name(self, value: Any) -> str:
        """Raises ConfigError where two values would share a name."""
        name = part_name(value)
        if self._values.setdefault(name, value) != value and name != NONE:
            raise ConfigError(
                f"--field {self._field}: {value!r} and {self._values[name]!r} would both go to the part {name!r}; "
                "filter them one by one with `megakor corpus filter`."
            )
        return name


class ByRange:
    """A part for each range of a number: below the first edge, from one edge to below the next, from the last on."""

    def __init__(self, field: str, edges: Sequence[float]) -> None:
        if not edges or list(edges) != sorted(set(edges)) or not all(map(math.isfinite, edges)):
            raise ConfigError(f"--edges {','.join(map(str, edges))}: give ascending numbers, such as 2,3,4.")
        self._field = field
        self._edges = np.array(edges, dtype=np.float64)
        texts = [part_name(edge) for edge in edges]
        between = [f"{low}-to-{high}" for low, high in pairwise(texts)]
        self._all = [f"below-{texts[0]}", *between, f"from-{texts[-1]}", NONE]

    def names(self, metadata: pa.RecordBatch) -> tuple[list[str], np.ndarray]:
        values = numbers_of(metadata, self._field)
        codes = np.searchsorted(self._edges, values, side="right")
        codes[np.isnan(values)] = len(self._all) - 1
        used, codes = np.unique(codes, return_inverse=True)
        return [self._all[code] for code in used], codes


def part_name(value: Any) -> str:
    """A value as part of a file name: letters, digits, - and _; numbers keep their point. Raises ConfigError."""
    if value is None or value == "" or value != value:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    name = re.sub(r"[^\w-]+", "-", str(value)).strip("-") or "other"
    if len(name.encode()) > _LONGEST_NAME:
        raise ConfigError(f"--field: {str(value)[:40]!r}... is too long for the name of a file; choose another field.")
    return name
