"""What is in shards: documents, tokens, text, lengths, shares of languages and sources, duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from megakor.corpus.grouping import UNKNOWN, Grouping
from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.columns import documents_with
from megakor.corpus.inspection.duplicates import Duplicates, find_duplicates
from megakor.corpus.inspection.lengths import LengthCounts
from megakor.corpus.inspection.rows_check import has_rows
from megakor.corpus.manifest import Count, Manifest, read_manifest
from megakor.corpus.metadata import LANGUAGE, SOURCE, TEXT_BYTES, metadata_schema
from megakor.corpus.row_file import SUFFIX, RowFile
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError, DataError

ALWAYS = (LANGUAGE, SOURCE)
"""Fields whose shares are always told."""


@dataclass
class Statistics:
    """Sums over all shards, and a line for each."""

    shards: dict[Path, Count] = field(default_factory=dict)
    empty: int = 0
    """Documents without tokens, or without text."""
    regrouped: int = 0
    """Shards whose documents are rows."""
    padding_tokens: int = 0
    """Of rows; no other number counts them."""
    lengths: LengthCounts = field(default_factory=LengthCounts)
    groups: dict[str, dict[str, Count]] = field(default_factory=dict)
    """Field -> value -> what there is of it, the most tokens first."""
    duplicates: Duplicates | None = None

    @property
    def noun(self) -> str:
        """What is counted."""
        if not self.regrouped:
            return "documents"
        return "rows" if self.regrouped == len(self.shards) else "documents and rows"

    @property
    def total(self) -> Count:
        """Of all shards."""
        return together(list(self.shards.values()))


def together(counts: Sequence[Count]) -> Count:
    """The sum; its bytes of text are unknown where those of a part are."""
    known = [count.text_bytes for count in counts if count.text_bytes is not None]
    return Count(
        sum(count.documents for count in counts),
        sum(count.tokens for count in counts),
        sum(known) if len(known) == len(counts) else None,
    )


def measure(prefixes: Sequence[Path], by: Sequence[str] = (), duplicates: bool = True) -> Statistics:
    """Read index and metadata of all shards, and their tokens too when duplicates are wanted.

    Raises:
        ConfigError: no shard has a field of `by`, or it has too many values.
        DataError: a shard is missing or damaged.
    """
    fields = list(dict.fromkeys([*ALWAYS, *by]))
    _check_fields(prefixes, by)
    readers = [ShardReader(prefix) for prefix in prefixes]
    statistics = Statistics()
    groupings = [Grouping(name) for name in fields]
    for reader in readers:
        manifest = read_manifest(reader.prefix)
        statistics.shards[reader.prefix] = _measure_shard(reader.prefix, manifest, groupings, statistics)
    statistics.groups = {grouping.name: grouping.counts() for grouping in groupings}
    if duplicates:
        statistics.duplicates = find_duplicates(readers)
    return statistics


def _measure_shard(
    prefix: Path, manifest: Manifest | None, groupings: Sequence[Grouping], statistics: Statistics
) -> Count:
    index = IndexFile.open(prefix)
    row_lengths = RowFile(prefix).lengths.astype(np.int64) if has_rows(index) else None
    statistics.regrouped += row_lengths is not None
    documents = tokens = 0
    missing = {LANGUAGE: manifest.language if manifest else UNKNOWN, SOURCE: prefix.name}
    text_bytes: int | None = 0
    for lengths, columns in documents_with(index, [grouping.name for grouping in groupings] + [TEXT_BYTES]):
        measured = columns.get(TEXT_BYTES)
        if row_lengths is not None:
            lengths = _without_padding(prefix, row_lengths, documents, lengths)
        documents, tokens = documents + len(lengths), tokens + int(lengths.sum())
        for grouping in groupings:
            values = columns.get(grouping.name)
            if values is None:
                values = pa.repeat(pa.scalar(missing.get(grouping.name, UNKNOWN), pa.string()), len(lengths))
            grouping.add(values, lengths, measured)
        statistics.lengths.add(lengths)
        statistics.empty += _empty(lengths, measured)
        unknown = text_bytes is None or measured is None or measured.null_count > 0
        text_bytes = None if unknown else (text_bytes or 0) + (pc.sum(measured).as_py() or 0)
    if text_bytes is None and manifest is not None:
        text_bytes = manifest.text_bytes
    statistics.padding_tokens += index.bin_bytes // index.dtype.itemsize - tokens
    return Count(documents, tokens, text_bytes)


def _without_padding(prefix: Path, row_lengths: np.ndarray, first: int, stored: np.ndarray) -> np.ndarray:
    """Real tokens of the rows from `first` on. Raises DataError where they are of another shard."""
    lengths = row_lengths[first : first + len(stored)]
    if len(lengths) != len(stored) or (lengths > stored).any():
        raise DataError(f"{shard_file(prefix, SUFFIX)}: does not fit the index; it is of another shard.")
    return lengths


def _empty(lengths: np.ndarray, text_bytes: pa.Array | None) -> int:
    without = lengths == 0
    if text_bytes is not None:
        without |= text_bytes.fill_null(1).to_numpy(zero_copy_only=False) == 0
    return int(without.sum())


def _check_fields(prefixes: Sequence[Path], by: Sequence[str]) -> None:
    schemas = [schema for prefix in prefixes if (schema := metadata_schema(prefix)) is not None]
    present = sorted({name for schema in schemas for name in schema.names})
    for name in by:
        if name not in present:
            have = f"they have {', '.join(present)}" if present else "they have none at all"
            raise ConfigError(f"--by {name}: no shard has this field in its metadata; {have}.")
