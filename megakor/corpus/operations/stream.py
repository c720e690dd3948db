"""Documents of a finished shard as a stream of batches, tokens and metadata side by side."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import conformed, name_column
from megakor.corpus.manifest import read_manifest
from megakor.corpus.metadata import (
    CHECKSUM,
    COLUMNS,
    LANGUAGE,
    POSITION,
    SOURCE,
    TEXT_BYTES,
    metadata_rows,
    metadata_schema,
    read_metadata,
)
from megakor.corpus.numbers_in_file import open_file, read_array
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.shard import HEADER, ShardReader, idx_path
from megakor.errors import DataError

BATCH_TOKENS = 4 << 20
BATCH_DOCUMENTS = 1 << 16


def read_documents(prefix: Path, batch_tokens: int = BATCH_TOKENS) -> Iterator[DocumentBatch]:
    """All documents in the order of the .idx; the columns are those of `documents_schema`.

    Memory holds one batch: at most `batch_tokens` tokens (or one longer document) and BATCH_DOCUMENTS documents. A
    shard without PREFIX.parquet gets the language of its manifest, its own name as source, the number of the document
    as position, unknown bytes of text and checksums that are computed here.

    Raises:
        DataError: a file is missing or damaged, or the metadata are not those of this shard.
    """
    shard = ShardReader(prefix)
    rows = _Rows(shard)
    start = 0
    for lengths in document_lengths(shard):
        for first, last in cut_by_tokens(lengths, batch_tokens):
            part = lengths[first:last]
            tokens = shard.read(start, int(part.sum()))
            start += len(tokens)
            yield DocumentBatch(tokens, part, rows.next(tokens, part))


def documents_schema(prefix: Path) -> pa.Schema:
    """Columns of the metadata that `read_documents` gives: those of every build first, then the chosen fields."""
    found = metadata_schema(prefix) or pa.schema([])
    own = set(COLUMNS.names)
    return pa.schema([*COLUMNS, *(column for column in found.remove_metadata() if column.name not in own)])


def document_lengths(shard: ShardReader) -> Iterator[np.ndarray]:
    """Tokens of each document, int64, in arrays of up to BATCH_DOCUMENTS; a document may be several sequences.

    Raises:
        DataError: the lengths do not add up to the tokens of the shard.
    """
    path = idx_path(shard.prefix)
    total = 0
    with open_file(path) as idx:
        for first in range(0, shard.documents, BATCH_DOCUMENTS):
            lengths = _lengths(idx, shard, first, min(first + BATCH_DOCUMENTS, shard.documents))
            total += int(lengths.sum())
            if (lengths < 0).any() or total > shard.tokens:
                break
            yield lengths
        else:
            if total == shard.tokens:
                return
    raise DataError(
        f"{path}: the lengths of its documents do not add up to the {shard.tokens:,} tokens of the .bin. "
        f"`megakor corpus verify {shard.prefix}` says which document is damaged."
    )


def cut_by_tokens(lengths: np.ndarray, batch_tokens: int) -> Iterator[tuple[int, int]]:
    """Ranges of documents of at most `batch_tokens` tokens each; a longer document stands alone."""
    ends = np.cumsum(lengths, dtype=np.int64)
    first = 0
    while first < len(lengths):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + batch_tokens, side="right")))
        yield first, last
        first = last


def checksums(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """zlib.crc32 of the bytes of each document, uint32 (documents,)."""
    view = np.ascontiguousarray(tokens).view(np.uint8).data
    ends = (np.cumsum(lengths, dtype=np.int64) * tokens.dtype.itemsize).tolist()
    starts = [0, *ends[:-1]]
    found = [zlib.crc32(view[start:end]) for start, end in zip(starts, ends, strict=True)]
    return np.array(found, dtype=np.uint32)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of a table as one record batch."""
    batches = table.unify_dictionaries().combine_chunks().to_batches()
    return (
        batches[0]
        if batches
        else pa.RecordBatch.from_arrays([pa.array([], c.type) for c in table.schema], schema=table.schema)
    )


def _lengths(idx: BinaryIO, shard: ShardReader, first: int, last: int) -> np.ndarray:
    """Tokens of documents [first, last), int64."""
    after = HEADER.size + 12 * shard.sequences
    opens = read_array(idx, np.dtype("<i8"), after + 8 * first, last - first + 1)
    low, high = int(opens[0]), int(opens[-1])
    if (np.diff(opens) < 0).any() or low < 0 or high > shard.sequences:
        raise DataError(f"{idx_path(shard.prefix)}: documents {first:,} to {last:,} are out of order; it is damaged.")
    sequences = read_array(idx, np.dtype("<i4"), HEADER.size + 4 * low, high - low)
    ends = np.concatenate(([0], np.cumsum(sequences, dtype=np.int64)))
    return np.diff(ends[opens - low])


class _Rows:
    """The metadata of a shard, taken a few rows at a time."""

    def __init__(self, shard: ShardReader) -> None:
        self._prefix = shard.prefix
        self._schema = documents_schema(shard.prefix)
        self._language = ""
        self._taken = 0
        rows = metadata_rows(shard.prefix)
        if rows is not None and rows != shard.documents:
            raise DataError(
                f"{shard.prefix}.parquet has {rows:,} rows and the shard {shard.documents:,} documents: the metadata "
                "belong to another shard. Copy or build the shard again."
            )
        self._batches = read_metadata(shard.prefix, BATCH_DOCUMENTS)
        if self._batches is None:
            manifest = read_manifest(shard.prefix)
            self._language = manifest.language if manifest else ""
        self._waiting: list[pa.RecordBatch] = []

    def next(self, tokens: np.ndarray, lengths: np.ndarray) -> pa.RecordBatch:
        """The rows of the next documents, whose tokens are given."""
        count = len(lengths)
        if self._batches is None:
            table = self._made_up(count)
        else:
            table = pa.Table.from_batches(self._read(count))
        if CHECKSUM not in table.column_names:
            table = table.append_column(CHECKSUM, pa.array(checksums(tokens, lengths)))
        self._taken += count
        try:
            return one_batch(conformed(table, self._schema))
        except pa.ArrowException as error:
            raise DataError(
                f"{self._prefix}.parquet: its columns are not those of a build ({error}); build the shard again."
            ) from error

    def _read(self, count: int) -> list[pa.RecordBatch]:
        parts = []
        while count:
            batch = self._waiting.pop() if self._waiting else next(self._batches or iter(()), None)
            if batch is None:
                raise DataError(f"{self._prefix}.parquet ends before its rows do; build the shard again.")
            part = batch.slice(0, count)
            if part.num_rows < batch.num_rows:
                self._waiting.append(batch.slice(count))
            count -= part.num_rows
            parts.append(part)
        return parts

    def _made_up(self, count: int) -> pa.Table:
        return pa.table(
            {
                SOURCE: name_column(self._prefix.name, count),
                LANGUAGE: name_column(self._language, count),
                POSITION: pa.array(np.arange(self._taken, self._taken + count)),
                TEXT_BYTES: pa.nulls(count, pa.int64()),
            }
        )
