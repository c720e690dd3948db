"""JSON Lines: one object a line, its text under a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from megakor.corpus.inputs.chunks import portion_chunks
from megakor.corpus.inputs.lines import LONGEST_LINE, Block, LineNumbers, line_blocks
from megakor.corpus.inputs.record import fast_loads, getter, optional, record_of
from megakor.corpus.inputs.records import BATCH_DOCUMENTS, Fields, Portion, Problem, Records


def read_json_lines(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The documents of a portion. Raises DataError for a file that is damaged or not text."""
    reader = _Reader(portion, fields)
    read = 0
    for block in line_blocks(portion_chunks(portion)):
        for records in [reader.too_long(block)] if block.too_long else reader.read(block):
            records.bytes_read, read = block.position - read, block.position
            yield records


class _Reader:
    """Turns blocks of lines into batches; knows how many lines of the portion came before."""

    def __init__(self, portion: Portion, fields: Fields) -> None:
        self._numbers = LineNumbers(portion)
        self._lines = 0
        self._fields = fields
        self._loads = fast_loads()
        self._get_text = getter(fields.text)
        self._metadata = [(name, optional(name)) for name in fields.metadata]

    def too_long(self, block: Block) -> Records:
        """The problem of a line that was not kept."""
        place = self._numbers.place(self._lines, block.offset)
        self._lines += 1
        sentence = f"{place}: line too long (more than {LONGEST_LINE:,} bytes); is each document on a line of its own?"
        return Records(problems=[Problem("line too long", sentence)])

    def read(self, block: Block) -> Iterator[Records]:
        """The documents of a block, at most `BATCH_DOCUMENTS` at a time."""
        data, start = block.data, 0
        while start < len(data):
            records, start = self._batch(data, start, block.offset)
            yield records

    def _batch(self, data: bytes, start: int, offset: int) -> tuple[Records, int]:
        """The next lines from byte `start` of a block, and where the rest begins. The loop over every document."""
        records = Records(metadata={name: [] for name, _ in self._metadata})
        loads, get_text, metadata, view, find = self._loads, self._get_text, self._metadata, memoryview(data), data.find
        for line in range(self._lines, self._lines + BATCH_DOCUMENTS):
            stop = find(b"\n", start)
            if stop < 0:
                stop = len(data)
            try:
                record = loads(view[start:stop])
                text = get_text(record)
                good = type(text) is str
            except (ValueError, LookupError, TypeError, RecursionError):
                good = False
            if good or (record := self._examine(data[start:stop], line, offset + start, records)) is not None:
                records.positions.append(offset + start)
                records.texts.append(text if good else get_text(record))
                for name, get in metadata:
                    records.metadata[name].append(get(record))
            start = stop + 1
            if start >= len(data):
                break
        self._lines = line + 1
        return records, start

    def _examine(self, raw: bytes, line: int, offset: int, records: Records) -> dict[str, Any] | None:
        """The record of a line that the fast parser refused; None for a blank line or a bad one, which is noted."""
        if not raw.strip():
            return None
        record = record_of(raw, self._fields, self._numbers.place(line, offset))
        if isinstance(record, Problem):
            records.problems.append(record)
            return None
        return record
