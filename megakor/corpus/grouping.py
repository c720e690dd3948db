"""Documents, tokens and bytes of text for each value of a metadata field, and those that a manifest holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from megakor.corpus.manifest import Count
from megakor.corpus.metadata import LANGUAGE, SOURCE, TEXT_BYTES
from megakor.errors import ConfigError

NAMES_COUNTED = 1000
"""Names of a language or source that a manifest holds at most, those with the most tokens."""
COUNTED = (LANGUAGE, SOURCE, TEXT_BYTES)
"""Columns of the metadata that the counts of a manifest come from."""
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


class ManifestCounts:
    """What a manifest says of the metadata: documents, tokens and bytes for each language and source.

    A field with more names than can be counted is left out.
    """

    def __init__(self, fields: Sequence[str] = (LANGUAGE, SOURCE)) -> None:
        self._groupings = {field: Grouping(field) for field in fields}
        self.text_bytes: int | None = 0
        """Of all documents; None where those of one are not known."""

    def add(self, columns: Mapping[str, pa.Array], lengths: np.ndarray) -> None:
        """Count documents with these columns of metadata and lengths in tokens."""
        text_bytes = columns.get(TEXT_BYTES)
        if text_bytes is None or text_bytes.null_count:
            self.text_bytes = None
        elif self.text_bytes is not None:
            self.text_bytes += pc.sum(text_bytes).as_py() or 0
        for name, grouping in list(self._groupings.items()):
            try:
                grouping.add(columns[name], lengths, text_bytes)
            except ConfigError:  # too many names to count
                del self._groupings[name]

    def all(self) -> dict[str, dict[str, Count]]:
        """Field -> name -> what there is of it, the most tokens first."""
        return {field: grouping.counts() for field, grouping in self._groupings.items()}

    def largest(self) -> dict[str, dict[str, Count]]:
        """As many of them as a manifest holds."""
        return {field: dict(islice(counts.items(), NAMES_COUNTED)) for field, counts in self.all().items()}


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
