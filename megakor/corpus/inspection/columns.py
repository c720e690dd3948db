"""Columns of PREFIX.parquet beside the documents of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.index_file import IndexFile
from megakor.corpus.metadata import TEXT_BYTES, metadata_schema, read_metadata
from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError


class Rows:
    """Rows of the metadata of a shard from `first` on, taken in any portions. Without metadata there are no columns."""

    def __init__(self, prefix: Path, columns: list[str], first: int = 0) -> None:
        self._path = shard_file(prefix, ".parquet")
        self._batches: Iterator[pa.RecordBatch] | None = read_metadata(prefix, columns=columns, first_row=first)
        self._rest: pa.Table | None = None

    def take(self, count: int) -> dict[str, pa.Array]:
        """The next rows as one array for each column. Raises DataError when there are fewer."""
        if self._batches is None:
            return {}
        parts: list[pa.Table] = [self._rest] if self._rest is not None else []
        rows = sum(part.num_rows for part in parts)
        while rows < count or not parts:
            batch = next(self._batches, None)
            if batch is None:
                raise DataError(f"{self._path}: has fewer rows than the index has documents; it is of another shard.")
            parts.append(pa.Table.from_batches([batch]))
            rows += batch.num_rows
        table = pa.concat_tables(parts)
        self._rest = table.slice(count)
        taken = table.slice(0, count).combine_chunks()
        return {name: _one_array(taken.column(name)) for name in taken.column_names}


def documents_with(index: IndexFile, fields: Iterable[str]) -> Iterator[tuple[np.ndarray, dict[str, pa.Array]]]:
    """Lengths of documents (tokens, int64), and those of the columns that the metadata has, in stretches.

    Bytes of text are int64 whatever whole numbers the file has. Raises DataError when a file cannot be read, when there
    are more documents than rows, or when bytes of text are no whole numbers.
    """
    schema = metadata_schema(index.prefix)
    rows = Rows(index.prefix, [name for name in dict.fromkeys(fields) if schema is not None and name in schema.names])
    for _, offsets in index.chunks():
        columns = rows.take(len(offsets) - 1)
        if TEXT_BYTES in columns:
            columns[TEXT_BYTES] = _whole_numbers(columns[TEXT_BYTES], shard_file(index.prefix, ".parquet"))
        yield np.diff(offsets), columns


class ChecksumColumn:
    """The crc32 of documents from `first` on."""

    def __init__(self, prefix: Path, name: str, first: int) -> None:
        self._name = name
        self._rows = Rows(prefix, [name], first)

    def take(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """uint32 (count,), and whether each is known, bool (count,)."""
        column = self._rows.take(count)[self._name]
        known = column.is_valid().to_numpy(zero_copy_only=False)
        return column.fill_null(0).to_numpy(zero_copy_only=False), known


def _whole_numbers(column: pa.Array, path: Path) -> pa.Array:
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise DataError(f"{path}: column {TEXT_BYTES} is of type {column.type}, not int64; build the shard again.")
    try:
        return column.cast(pa.int64())
    except pa.ArrowException as error:
        raise DataError(f"{path}: column {TEXT_BYTES}: {error}; build the shard again.") from error


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
