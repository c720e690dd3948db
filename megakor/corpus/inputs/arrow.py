"""Arrow IPC, as files (cut between record batches) and as streams (one portion), which `datasets` writes."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from megakor.corpus.inputs.chunks import readable
from megakor.corpus.inputs.columns import Columns, documents
from megakor.corpus.inputs.records import Fields, Portion, Records
from megakor.errors import DataError

_FILE_MAGIC = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""Streams may end without it, but then nobody can tell whether batches are missing."""


_KEPT = 8 << 20
"""Characters of text after which the pages that were read are given back."""


def batch_rows(path: str) -> list[int]:
    """Rows of each record batch of a file; [1] for a stream, which is read as a whole. Raises DataError."""
    with readable(path):
        mapped = _Mapped(path)
        if not mapped.is_file:
            return [1]
        with pa.ipc.open_file(mapped.reader) as file:
            return [file.get_batch(number).num_rows for number in range(file.num_record_batches)]


def schema(path: str) -> pa.Schema:
    """The columns. Raises DataError."""
    with readable(path):
        mapped = _Mapped(path)
        with (pa.ipc.open_file if mapped.is_file else pa.ipc.open_stream)(mapped.reader) as opened:
            return opened.schema


def read_arrow(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The rows of a portion's record batches. Raises DataError for a damaged file and where the column is missing."""
    with readable(portion.path):
        mapped = _Mapped(portion.path)
        row, told, characters = portion.first_row, 0, 0
        for batch, done in (_file_batches if mapped.is_file else _stream_batches)(mapped.reader, portion):
            columns = Columns.of(batch.schema, fields, portion.path)
            for records in documents(batch, columns, row):
                records.bytes_read, told = done - told, done
                characters += sum(map(len, records.texts))
                if characters > _KEPT:
                    mapped.give_back()
                    characters = 0
                yield records
            row += batch.num_rows


class _Mapped:
    """A file in memory by its pages: a batch may be as large as the file, and need not be read as a whole."""

    def __init__(self, path: str) -> None:
        with Path(path).open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.reader = pa.BufferReader(pa.py_buffer(self._map))
        self.is_file = self._map[: len(_FILE_MAGIC)] == _FILE_MAGIC

    def give_back(self) -> None:
        """Let go of the pages read so far; whoever looks at one again has it read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _file_batches(reader: pa.BufferReader, portion: Portion) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Each batch, and how many bytes of the portion are done with it."""
    with pa.ipc.open_file(reader) as file:
        items = portion.item_stop - portion.item_start
        for number in range(items):
            share = (portion.byte_stop - portion.byte_start) * (number + 1) // items
            yield file.get_batch(portion.item_start + number), share


def _stream_batches(reader: pa.BufferReader, portion: Portion) -> Iterator[tuple[pa.RecordBatch, int]]:
    with pa.ipc.open_stream(reader) as stream:
        for batch in stream:
            yield batch, reader.tell()
    end = reader.tell()
    if reader.read_at(len(_END_OF_STREAM), end - len(_END_OF_STREAM)) != _END_OF_STREAM:
        raise DataError(f"{portion.path}: cut off: the Arrow stream has no end mark; fetch or write it again.")
    if end != reader.size():
        raise DataError(f"{portion.path}: something follows the end of the Arrow stream; one file holds one stream.")
