"""Arrow IPC, as files (cut between record batches) and as streams (one portion), which `datasets` writes."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from megakor.corpus.inputs.chunks import readable
from megakor.corpus.inputs.columns import Columns, documents
from megakor.corpus.inputs.records import Fields, Portion, Records
from megakor.errors import DataError

_FILE_MAGIC = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""Streams may end without it, but then nobody can tell whether batches are missing."""


def batch_rows(path: str) -> list[int]:
    """Rows of each record batch of a file; [1] for a stream, which is read as a whole. Raises DataError."""
    with readable(path), pa.memory_map(path) as mapped:
        if not _is_file(mapped):
            return [1]
        with pa.ipc.open_file(mapped) as file:
            return [file.get_batch(number).num_rows for number in range(file.num_record_batches)]


def read_arrow(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The rows of a portion's record batches. Raises DataError for a damaged file and where the column is missing."""
    # Mapped, not read: a batch may be as large as the file, and the system takes mapped pages back when it must.
    with readable(portion.path), pa.memory_map(portion.path) as mapped:
        row, told = portion.first_row, 0
        for batch, done in _file_batches(mapped, portion) if _is_file(mapped) else _stream_batches(mapped, portion):
            columns = Columns.of(batch.schema, fields, portion.path)
            for records in documents(batch, columns, row):
                records.bytes_read, told = done - told, done
                yield records
            row += batch.num_rows


def _is_file(mapped: pa.MemoryMappedFile) -> bool:
    return bool(mapped.read_at(len(_FILE_MAGIC), 0) == _FILE_MAGIC)


def _file_batches(mapped: pa.MemoryMappedFile, portion: Portion) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Each batch, and how many bytes of the portion are done with it."""
    with pa.ipc.open_file(mapped) as file:
        items = portion.item_stop - portion.item_start
        for number in range(items):
            share = (portion.byte_stop - portion.byte_start) * (number + 1) // items
            yield file.get_batch(portion.item_start + number), share


def _stream_batches(mapped: pa.MemoryMappedFile, portion: Portion) -> Iterator[tuple[pa.RecordBatch, int]]:
    with pa.ipc.open_stream(mapped) as stream:
        for batch in stream:
            yield batch, mapped.tell()
    end = mapped.tell()
    if mapped.read_at(len(_END_OF_STREAM), end - len(_END_OF_STREAM)) != _END_OF_STREAM:
        raise DataError(f"{portion.path}: cut off: the Arrow stream has no end mark; fetch or write it again.")
