"""Whole lines out of chunks: blocks that end where a line ends, lines that are too long, and line numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from megakor.corpus.inputs.chunks import Chunk, plain_chunks, readable
from megakor.corpus.inputs.records import Portion

LONGEST_LINE = 32 << 20
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


class Gathering:
    """Bytes that belong together and come one after another; they are let go once they are too many for a line."""

    def __init__(self) -> None:
        self.offset = 0
        self.bytes = 0
        self._parts: list[bytes] = []

    def add(self, data: bytes, offset: int) -> None:
        """Append bytes; `offset` says where they stand in the unpacked file."""
        if not self.bytes:
            self.offset = offset
        self.bytes += len(data)
        self._parts.append(data)
        if self.too_many:
            self._parts.clear()

    def lose(self) -> None:
        """Say that more belongs here, which was too long to be kept."""
        self._parts, self.bytes = [], LONGEST_LINE + 1

    @property
    def too_many(self) -> bool:
        """Whether the bytes have been let go."""
        return self.bytes > LONGEST_LINE

    def take(self, rest: bytes = b"", belonging: int = 0) -> bytes | None:
        """What was added, and `rest`; None if that and the `belonging` bytes of `rest` are too many. Empties this."""
        whole = None if self.bytes + belonging > LONGEST_LINE else b"".join([*self._parts, rest])
        self._parts, self.bytes = [], 0
        return whole


def line_blocks(chunks: Iterable[Chunk]) -> Iterator[Block]:
    """The same bytes in blocks of whole lines; only the last line of all may lack its end."""
    unended = Gathering()
    position = 0
    for chunk in chunks:
        data, offset, position = chunk.data, chunk.offset, chunk.position
        if unended.bytes:
            newline = data.find(b"\n")
            if newline < 0:
                unended.add(data, offset)
                continue
            whole = unended.take(data, newline)
            if whole is None:
                yield Block(b"", unended.offset, position, too_long=True)
                data, offset = data[newline + 1 :], offset + newline + 1
            else:
                data, offset = whole, unended.offset
        end = data.rfind(b"\n") + 1
        if end:
            yield Block(data[:end], offset, position)
        if end < len(data):
            unended.add(data[end:], offset + end)
    if unended.bytes:
        rest = unended.take()
        yield Block(rest or b"", unended.offset, position, too_long=rest is None)


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
