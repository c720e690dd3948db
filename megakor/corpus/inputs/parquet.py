"""Parquet files: one document a row, cut between row groups."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from megakor.corpus.inputs.chunks import CHUNK, readable
from megakor.corpus.inputs.columns import Columns, documents, rows_at_once
from megakor.corpus.inputs.records import Fields, Portion, Records
from megakor.errors import DataError


def group_sizes(path: str) -> list[int]:
    """Bytes of each row group, from the footer. Raises DataError."""
    with readable(path), pq.ParquetFile(path) as file:
        return [max(1, file.metadata.row_group(group).total_byte_size) for group in range(file.metadata.num_row_groups)]


def schema(path: str) -> pa.Schema:
    """The columns. Raises DataError."""
    with readable(path), pq.ParquetFile(path) as file:
        return file.schema_arrow


def read_parquet(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The rows of a portion's row groups. Raises DataError for a damaged file and where the column is missing."""
    # Pages are read as they are needed: a row group may be larger than the memory.
    options = {"buffer_size": CHUNK, "pre_buffer": False, "page_checksum_verification": True}
    with readable(portion.path), pq.ParquetFile(portion.path, **options) as file:
        columns = Columns.of(file.schema_arrow, fields, portion.path)
        rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        first = sum(rows[: portion.item_start])
        whole = max(1, sum(rows[portion.item_start : portion.item_stop]))
        share = (portion.byte_stop - portion.byte_start) / whole
        for group in range(portion.item_start, portion.item_stop):
            end = first + rows[group]
            for batch in _batches(file, group, columns):
                for records in documents(batch, columns, first):
                    records.bytes_read = int(share * (len(records.texts) + len(records.problems)))
                    yield records
                first += batch.num_rows
            if first != end:
                raise DataError(f"{portion.path}: row group {group} is not whole; fetch or write the file again.")


def _batches(file: pq.ParquetFile, group: int, columns: Columns) -> Iterator[pa.RecordBatch]:
    metadata = file.metadata.row_group(group)
    # The bytes of all columns, though only those of the text count: to ask for a column's, Arrow (26) ends the process
    # where a footer is damaged.
    rows = rows_at_once(metadata.num_rows, metadata.total_byte_size)
    return file.iter_batches(rows, row_groups=[group], columns=columns.wanted, use_threads=False)
