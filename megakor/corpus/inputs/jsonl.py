"""JSON Lines: one object a line, its text under a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from megakor.corpus.inputs.chunks import portion_chunks
from megakor.corpus.inputs.lines import LONGEST_LINE, Block, LineNumbers, line_blocks
from megakor.corpus.inputs.record import Field, fast_loads, getter, record_of
from megakor.corpus.inputs.records import BATCH_DOCUMENTS, Fields, Portion, Problem, Records

_BATCH_BYTES = 1 << 20
"""Of lines in a batch: texts that fit into a cache are read fastest."""


def read_json_lines(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The documents of a portion. Raises DataError for a file that is damaged or not text."""
    reader = _Reader(portion, fields)
    told = portion.byte_start
    for block in line_blocks(portion_chunks(portion)):
        for records in reader.read(block):
            records.bytes_read, told = block.position - told, block.position
            yield records
    yield reader.rest()


class _Reader:
    """Turns blocks of lines into batches; knows how many lines of the portion came before."""

    def __init__(self, portion: Portion, fields: Fields) -> None:
        self._numbers = LineNumbers(portion)
        self._fields = fields
        self._loads = fast_loads()
        self._get_text = getter(fields.text)
        self._optional = {name: Field(name) for name in fields.metadata}
        self._lines = 0
        self._batch_end = 0
        self._bytes = 0
        self._start_batch()

    def read(self, block: Block) -> Iterator[Records]:
        """Take in the documents of a block; give the batches that are full with it."""
        if block.too_long:
            self._note_too_long(block.offset)
        start = 0
        while start < len(block.data):
            end = self._fill(block.data, start, block.offset)
            self._bytes += end - start
            if self._lines == self._batch_end or self._bytes >= _BATCH_BYTES:
                yield self.rest()
            start = end

    def rest(self) -> Records:
        """The batch that is not full yet; it may be empty. The next line begins another."""
        records = self._records
        records.lacking = {name: field.lacking for name, field in self._optional.items() if field.lacking}
        self._start_batch()
        return records

    def _start_batch(self) -> None:
        self._records = Records(metadata={name: [] for name in self._optional})
        self._columns = [(values, self._optional[name].get) for name, values in self._records.metadata.items()]
        for field in self._optional.values():
            field.lacking = 0
        self._batch_end = self._lines + BATCH_DOCUMENTS
        self._bytes = 0

    def _fill(self, data: bytes, start: int, offset: int) -> int:
        """Read lines from byte `start` of a block until the batch has enough of them; the loop over every document.

        Returns where the next line begins.
        """
        view, find, length = memoryview(data), data.find, len(data)
        loads, get_text, columns = self._loads, self._get_text, self._columns
        add_position, add_text = self._records.positions.append, self._records.texts.append
        for line in range(self._lines, self._batch_end):
            stop = find(b"\n", start)
            if stop < 0:
                stop = length
            try:
                record = loads(view[start:stop])
                text = get_text(record)
            except (ValueError, LookupError, TypeError, RecursionError):
                text = None
            if text.__class__ is str or (record := self._examine(data[start:stop], line, offset + start)):
                add_position(offset + start)
                add_text(text if text is not None else get_text(record))
                for values, get in columns:
                    values.append(get(record))
            start = stop + 1
            if start >= length:
                break
        self._lines = line + 1
        return start

    def _note_too_long(self, offset: int) -> None:
        place = self._numbers.place(self._lines, offset)
        sentence = f"{place}: line too long (more than {LONGEST_LINE:,} bytes); is each document on a line of its own?"
        self._records.problems.append(Problem("line too long", sentence))
        self._lines += 1
        self._batch_end += 1

    def _examine(self, raw: bytes, line: int, offset: int) -> dict[str, Any] | None:
        """The record of a line that the fast parser refused; None for a blank line or a bad one, which it notes."""
        if not raw.strip():
            return None
        record = record_of(raw, self._fields, self._numbers.place(line, offset))
        if isinstance(record, Problem):
            self._records.problems.append(record)
            return None
        return record
