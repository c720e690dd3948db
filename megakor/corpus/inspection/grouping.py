"""Documents, tokens and bytes of text for each value of a metadata field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Count
from megakor.errors import ConfigError

UNKNOWN = ""
"""The name of documents that have no value."""
MOST_NAMES = 100_000


@dataclass
class Grouping:
    """Running counts of one field; memory grows with its different values, which are bounded."""

    name: str
    documents: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    text_bytes: dict[str, int] = field(default_factory=dict)
    unmeasured: set[str] = field(default_factory=set)
    """Names with a document whose bytes of text are not known."""

    def add(self, values: pa.Array, lengths: np.ndarray, text_bytes: pa.Array | None) -> None:
        """Count documents with these values, lengths (tokens) and bytes of text.

        Raises ConfigError for a field whose values are lists or records, or too many.
        """
        names, codes = _encoded(self.name, values)
        measured = np.zeros(len(lengths), dtype=np.int64)
        known = np.zeros(len(lengths), dtype=bool)
        if text_bytes is not None:
            measured, known = text_bytes.fill_null(0).to_numpy(), text_bytes.is_valid().to_numpy(zero_copy_only=False)
        self._add_up(self.documents, names, codes, np.ones(len(lengths), dtype=np.int64))
        self._add_up(self.tokens, names, codes, lengths)
        self._add_up(self.text_bytes, names, codes, measured)
        self.unmeasured.update(names[code] for code in np.unique(codes[~known]))
        if len(self.documents) > MOST_NAMES:
            raise ConfigError(
                f"{self.name}: has more than {MOST_NAMES:,} different values, too many to list. Choose another field."
            )

    def counts(self) -> dict[str, Count]:
        """Name -> what there is of it, the most tokens first."""
        order = sorted(self.documents, key=lambda name: (-self.tokens[name], name))
        return {name: Count(self.documents[name], self.tokens[name], self._bytes(name)) for name in order}

    def _bytes(self, name: str) -> int | None:
        return None if name in self.unmeasured else self.text_bytes[name]

    def _add_up(self, sums: dict[str, int], names: Sequence[str], codes: np.ndarray, amounts: np.ndarray) -> None:
        totals = np.zeros(len(names), dtype=np.int64)
        np.add.at(totals, codes, amounts)
        for code in np.unique(codes).tolist():
            sums[names[code]] = sums.get(names[code], 0) + int(totals[code])


def _encoded(name: str, values: pa.Array) -> tuple[list[str], np.ndarray]:
    """The different values as text, and the number of each document's one."""
    try:
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        names = [_spelt(value) for value in encoded.dictionary.to_pylist()]
    except pa.ArrowException as error:
        raise ConfigError(f"{name}: its values are {values.type}; documents cannot be grouped by them.") from error
    codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    return [*names, UNKNOWN], codes


def _spelt(value: object) -> str:
    if value is None:
        return UNKNOWN
    return str(value).lower() if isinstance(value, bool) else str(value)
