"""PREFIX.parquet, the metadata beside a shard: one row a document, in the order of the .idx.

Every build writes the columns below; chosen fields of the input stand beside them under their own names.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError
from megakor.storage import publish, remove, storage_errors, sync_file, temporary_name

SUFFIX = ".parquet"
SOURCE, LANGUAGE, POSITION, TEXT_BYTES, CHECKSUM = "source", "language", "position", "text_bytes", "crc32"
NAME = pa.dictionary(pa.int32(), pa.string())
COLUMNS = pa.schema(
    [
        (SOURCE, NAME),  # the input file, or the name that --source gives
        (LANGUAGE, NAME),
        (POSITION, pa.int64()),  # in the input: byte offset of the line in the unpacked file, or number of the row
        (TEXT_BYTES, pa.int64()),  # UTF-8 bytes of the text that the tokens stand for
        (CHECKSUM, pa.uint32()),  # zlib.crc32 of the document's bytes in .bin
    ]
)
ROWS_PER_GROUP = 65_536


def checksums(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The column `crc32` of documents, uint32 (documents,): token ids end to end, and how many each has."""
    view = np.ascontiguousarray(tokens).view(np.uint8).data
    ends = (np.cumsum(lengths, dtype=np.int64) * tokens.dtype.itemsize).tolist()
    return np.array([zlib.crc32(view[start:end]) for start, end in pairwise([0, *ends])], dtype=np.uint32)


class MetadataWriter:
    """Writes PREFIX.parquet with row groups of a fixed size, so that its bytes depend on the rows alone.

    Like `ShardWriter` it has `finish`, `publish` and `discard`, so that files appear together.
    """

    def __init__(self, prefix: Path, schema: pa.Schema) -> None:
        self.path = shard_file(prefix, SUFFIX)
        self.rows = 0
        self._temporary = temporary_name(self.path)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        with storage_errors(self.path):
            self._writer = pq.ParquetWriter(self._temporary, schema, compression="zstd", write_page_checksum=True)
        self._schema = schema

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Append rows of the schema."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        while self._waiting_rows >= ROWS_PER_GROUP:
            self._write_group(ROWS_PER_GROUP)

    def finish(self) -> None:
        """Make the file whole and durable under its temporary name."""
        if self._waiting_rows:
            self._write_group(self._waiting_rows)
        with storage_errors(self.path):
            self._writer.close()
            sync_file(self._temporary)

    def publish(self) -> None:
        """Give the finished file its final name."""
        publish(self._temporary, self.path)

    def discard(self) -> None:
        """Remove what has no final name yet."""
        with suppress(OSError):  # a full disk refuses the last bytes again
            self._writer.close()
        remove(self._temporary)

    def _write_group(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting).unify_dictionaries()
        with storage_errors(self.path):
            self._writer.write_table(_with_own_dictionaries(table.slice(0, rows)), row_group_size=rows)
        rest = table.slice(rows)
        self._waiting, self._waiting_rows = ([rest] if rest.num_rows else []), rest.num_rows


def _with_own_dictionaries(rows: pa.Table) -> pa.Table:
    """Dictionaries of just these rows, in the order of first use: else the bytes would tell how the rows came here."""
    rows = rows.combine_chunks()
    for number, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            plain = rows.column(number).cast(column.type.value_type)
            rows = rows.set_column(number, column, plain.dictionary_encode().cast(column.type))
    return rows


def read_metadata(
    prefix: Path, batch_rows: int = ROWS_PER_GROUP, columns: Sequence[str] | None = None, first_row: int = 0
) -> Iterator[pa.RecordBatch] | None:
    """The rows from `first_row` on in batches, or None where a shard has no metadata (Megatron-LM writes none).

    Raises DataError for a file that is damaged.
    """
    path = shard_file(prefix, SUFFIX)
    return _batches(path, batch_rows, columns, first_row) if path.exists() else None


def metadata_schema(prefix: Path) -> pa.Schema | None:
    """The columns, or None where there is no metadata. Raises DataError for a file that is damaged."""
    path = shard_file(prefix, SUFFIX)
    return _open(path).schema_arrow if path.exists() else None


def metadata_rows(prefix: Path) -> int | None:
    """How many rows there are, from the footer; None where there is no metadata. Raises DataError."""
    path = shard_file(prefix, SUFFIX)
    return _open(path).metadata.num_rows if path.exists() else None


def _open(path: Path) -> pq.ParquetFile:
    try:
        # pre_buffer would hold all row groups in memory at once.
        file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        _ = file.schema_arrow.names  # decodes them
        return file
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the metadata cannot be read ({error}); build the shard again.") from error


def _batches(path: Path, batch_rows: int, columns: Sequence[str] | None, first_row: int) -> Iterator[pa.RecordBatch]:
    file = _open(path)
    try:
        groups, skipped = _groups_from(file.metadata, first_row)
        for batch in file.iter_batches(batch_rows, groups, None if columns is None else list(columns)):
            batch.validate(full=True)  # text of foreign files may be no UTF-8
            if skipped < batch.num_rows:
                yield batch.slice(skipped)
            skipped = max(0, skipped - batch.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: the metadata is damaged ({error}); build the shard again.") from error
    finally:
        file.close()


def _groups_from(footer: pq.FileMetaData, first_row: int) -> tuple[list[int], int]:
    """The row groups that hold rows from `first_row` on, and how many rows of them come before it."""
    before = 0
    for group in range(footer.num_row_groups):
        rows = footer.row_group(group).num_rows
        if first_row < before + rows:
            return list(range(group, footer.num_row_groups)), first_row - before
        before += rows
    return [], 0
