"""Whole lines out of chunks: blocks that end where a line ends, lines that are too long, and line numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from megakor.corpus.inputs.chunks import Chunk, plain_chunks, readable
from megakor.corpus.inputs.records import Portion

LONGEST_LINE = 256 << 20
"""A longer line, in bytes without its end, is a problem: nothing that long is a document, and it fills the memory."""
_COUNTED_UP_TO = 8 << 30
"""Line numbers further on in a file would take longer to count than the message is worth; they give the byte."""


@dataclass(frozen=True)
class Block:
    """Whole lines that follow one another, or one line that is too long to be kept."""

    data: bytes
    offset: int
    position: int
    """How far the file itself has been read, in bytes."""
    too_long: bool = False


class _Unended:
    """The beginning of a line whose end has not come yet; the bytes are let go once the line is too long."""

    def __init__(self) -> None:
        self.offset = 0
        self.bytes = 0
        self._parts: list[bytes] = []

    def add(self, data: bytes, offset: int) -> None:
        if not self.bytes:
            self.offset = offset
        self.bytes += len(data)
        self._parts.append(data)
        if self.bytes > LONGEST_LINE:
            self._parts.clear()

    def end(self, data: bytes) -> bytes | None:
        """The line with what ends it, and what follows; None for a line that is too long. Empties this."""
        parts, length = [*self._parts, data], self.bytes
        self._parts, self.bytes = [], 0
        newline = data.find(b"\n")
        return None if length + (newline if newline >= 0 else len(data)) > LONGEST_LINE else b"".join(parts)


def line_blocks(chunks: Iterable[Chunk]) -> Iterator[Block]:
    """The same bytes in blocks of whole lines; only the last line of all may lack its end."""
    unended = _Unended()
    position = 0
    for chunk in chunks:
        data, offset, position = chunk.data, chunk.offset, chunk.position
        if unended.bytes:
            newline = data.find(b"\n")
            if newline < 0:
                unended.add(data, offset)
                continue
            start = unended.offset
            whole = unended.end(data)
            if whole is None:
                yield Block(b"", start, position, too_long=True)
                data, offset = data[newline + 1 :], offset + newline + 1
            else:
                data, offset = whole, start
        end = data.rfind(b"\n") + 1
        if end:
            yield Block(data[:end], offset, position)
        if end < len(data):
            unended.add(data[end:], offset + end)
    if unended.bytes:
        start = unended.offset
        rest = unended.end(b"")
        yield Block(rest or b"", start, position, too_long=rest is None)


class LineNumbers:
    """Tells places in a portion as file:line. Lines in front of the portion are counted when a place is first asked."""

    def __init__(self, portion: Portion) -> None:
        self._portion = portion
        self._first = 1 if portion.byte_start == 0 else 0

    def place(self, lines_before: int, offset: int) -> str:
        """file:line of the line that follows `lines_before` others of the portion and begins at byte `offset`."""
        if not self._first and self._portion.byte_start <= _COUNTED_UP_TO:
            self._first = 1 + self._lines_before_portion()
        if not self._first:
            return f"{self._portion.path}, byte {offset}"
        return f"{self._portion.path}:{self._first + lines_before}"

    def _lines_before_portion(self) -> int:
        """Lines that begin before the portion does."""
        start = self._portion.byte_start
        with readable(self._portion.path):
            # The end of the last byte in front begins a line of the portion; so it counts for none of those before.
            return 1 + sum(chunk.data.count(b"\n") for chunk in plain_chunks(self._portion.path, 0, start - 1))
