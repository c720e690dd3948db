"""Text files: a document is the whole file, a paragraph (lines between blank lines) or a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from megakor.corpus.inputs.chunks import BYTE_ORDER_MARK, portion_chunks
from megakor.corpus.inputs.lines import LONGEST_LINE, Gathering, LineNumbers, line_blocks
from megakor.corpus.inputs.records import BATCH_BYTES, BATCH_DOCUMENTS, Fields, Portion, Problem, Records
from megakor.errors import ConfigError

_LOOKED_AT = 4096
"""Bytes read at a time when a file is read backwards."""


@dataclass(frozen=True)
class _Piece:
    """The bytes of a document or of a line of one; None where there are too many."""

    raw: bytes | None
    offset: int
    line: int
    """Lines of the portion in front of it."""
    position: int
    """How far the file itself has been read."""


def read_text(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The documents of a portion; they have no metadata. Raises DataError for a file that is damaged or not text."""
    if fields.text_unit not in _UNITS:
        raise ConfigError(f"{fields.text_unit!r}: a document of a text file is one of {', '.join(_UNITS)}.")
    numbers = LineNumbers(portion)
    records, size, told = Records(), 0, portion.byte_start
    for piece in _UNITS[fields.text_unit](portion):
        _add(piece, records, numbers.place)
        size += len(piece.raw or b"")
        if len(records.texts) + len(records.problems) == BATCH_DOCUMENTS or size >= BATCH_BYTES:
            yield _whole(records, fields, piece.position - told)
            records, size, told = Records(), 0, piece.position
    yield _whole(records, fields, 0)


def _whole(records: Records, fields: Fields, bytes_read: int) -> Records:
    records.metadata = {name: [None] * len(records.texts) for name in fields.metadata}
    records.lacking = {name: len(records.texts) for name in fields.metadata}
    records.bytes_read = bytes_read
    return records


def _add(piece: _Piece, records: Records, place: Callable[[int, int], str]) -> None:
    if piece.raw is None:
        sentence = f"too long for a document (more than {LONGEST_LINE:,} bytes); split the file, or read it by lines."
        records.problems.append(Problem("too long", f"{place(piece.line, piece.offset)}: {sentence}"))
        return
    try:
        text = piece.raw.decode("utf-8")
    except UnicodeDecodeError as error:
        sentence = (
            f"not valid UTF-8 at byte {error.start} of the document that begins here; "
            "convert the file (for Korean often: iconv -f CP949 -t UTF-8)."
        )
        records.problems.append(Problem("utf-8", f"{place(piece.line, piece.offset)}: {sentence}"))
        return
    records.positions.append(piece.offset)
    records.texts.append(text)


def _every_line(portion: Portion, to_end: bool = False) -> Iterator[_Piece]:
    """The lines with their ends, blank ones too."""
    line = 0
    for block in line_blocks(portion_chunks(portion, to_end)):
        start = 0
        for raw in [None] if block.too_long else _split(block.data):
            yield _Piece(raw, block.offset + start, line, block.position)
            start += len(raw or b"")
            line += 1


def _split(data: bytes) -> list[bytes]:
    """Lines with their ends; `splitlines` would end them at a lone carriage return too."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _lines(portion: Portion) -> Iterator[_Piece]:
    for line in _every_line(portion):
        if line.raw is None or line.raw.strip():
            yield line if line.raw is None else replace(line, raw=line.raw.rstrip(b"\r\n"))


def _paragraphs(portion: Portion) -> Iterator[_Piece]:
    """Paragraphs that begin in the portion, wherever they end."""
    limit = math.inf if portion.compression else portion.byte_stop
    gathered, first = Gathering(), None
    others = portion.byte_start > 0  # whether the first lines go on with a paragraph of the portion in front
    for line in _every_line(portion, to_end=True):
        if line.line == 0:
            others = others and not _blank_before(portion.path, line.offset)
        if first is None and line.line and line.offset >= limit:
            return
        if line.raw is None or line.raw.strip():
            if not others:
                first = first or line
                gathered.add(line.raw or b"", line.offset)
                if line.raw is None:
                    gathered.lose()
            continue
        others = False
        if first is not None:
            yield _joined(gathered, first, line.position)
            first = None
    if first is not None:
        yield _joined(gathered, first, portion.byte_stop)


def _joined(gathered: Gathering, first: _Piece, position: int) -> _Piece:
    raw = gathered.take()
    return _Piece(raw if raw is None else raw.rstrip(b"\r\n"), first.offset, first.line, position)


def _blank_before(path: str, start: int) -> bool:
    """Whether the line that ends where the one at byte `start` begins is blank."""
    end = start - 1  # the newline between the two
    with Path(path).open("rb") as file:
        while end > 0:
            begin = end - _LOOKED_AT
            if begin <= len(BYTE_ORDER_MARK):
                begin = 0
            file.seek(begin)
            data = file.read(end - begin)
            if begin == 0:
                data = data.removeprefix(BYTE_ORDER_MARK)
            newline = data.rfind(b"\n")
            if data[newline + 1 :].strip() or newline >= 0:
                return not data[newline + 1 :].strip()
            end = begin
    return True


def _file(portion: Portion) -> Iterator[_Piece]:
    """The whole file belongs to the portion in which it begins."""
    if portion.byte_start:
        return
    gathered, position = Gathering(), 0
    for chunk in portion_chunks(portion, to_end=True):
        gathered.add(chunk.data, chunk.offset)
        position = chunk.position
        if gathered.too_many:
            break
    if gathered.bytes:
        yield _Piece(gathered.take(), 0, 0, position)


_UNITS: dict[str, Callable[[Portion], Iterator[_Piece]]] = {"file": _file, "paragraph": _paragraphs, "line": _lines}
