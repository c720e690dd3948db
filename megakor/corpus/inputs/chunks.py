"""The bytes of a text file in chunks of bounded size: a range of a plain file, or a compressed file unpacked."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from megakor.corpus.inputs.kinds import check_beginning
from megakor.corpus.inputs.records import Portion
from megakor.errors import DataError

CHUNK = 1 << 18
"""Bytes read at a time: small enough to stay in a processor's cache while its lines are parsed."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Bytes that stand together in the unpacked file."""

    data: bytes
    offset: int
    """Of the first byte, in the unpacked file."""
    position: int
    """How far the file itself has been read, in bytes; for progress."""


def portion_chunks(portion: Portion, to_end: bool = False) -> Iterator[Chunk]:
    """The lines that begin in a portion of plain text, wherever the last one ends; all of a compressed file.

    With `to_end` the lines that follow come too. A byte-order mark is left out. Raises DataError for a file that cannot
    be read or is not text.
    """
    with readable(portion.path):
        for chunk in _unpacked(portion) if portion.compression else _lines_in_range(portion, to_end):
            yield chunk if chunk.offset else _checked(portion, chunk)


def _checked(portion: Portion, first: Chunk) -> Chunk:
    check_beginning(portion.path, first.data)
    if not first.data.startswith(BYTE_ORDER_MARK):
        return first
    return Chunk(first.data[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK), first.position)


def plain_chunks(path: str, start: int, stop: int | None = None) -> Iterator[Chunk]:
    """Bytes [start, stop) of a plain file; to its end without `stop`. Raises OSError."""
    with Path(path).open("rb", buffering=0) as file:
        file.seek(start)
        while data := file.read(CHUNK if stop is None else min(CHUNK, stop - start)):
            yield Chunk(data, start, start + len(data))
            start += len(data)


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn the errors of files, codecs and Arrow into a DataError with the path."""
    try:
        yield
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{path}: damaged, or beyond pyarrow {pa.__version__} ({error}); write it again.") from error
    except (EOFError, ValueError, lzma.LZMAError, pa.ArrowException) as error:
        raise DataError(f"{path}: damaged or cut off ({error}); fetch or write it again.") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's codecs raise a bare OSError
            raise DataError(f"{path}: damaged or cut off ({error}); fetch or write it again.") from error
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error


def _lines_in_range(portion: Portion, to_end: bool) -> Iterator[Chunk]:
    start, stop = portion.byte_start, portion.byte_stop
    if Path(portion.path).stat().st_size < stop:
        raise DataError(f"{portion.path}: shorter than when the inputs were listed; leave them alone during a build.")
    begin = _line_start(portion.path, start, stop)
    if begin < stop:
        yield from plain_chunks(portion.path, begin, None if to_end else _line_start(portion.path, stop))


def _line_start(path: str, offset: int, limit: int | None = None) -> int:
    """Where the first line at or after `offset` begins; `limit`, or the end of the file, if none does before that."""
    if offset == 0:
        return 0
    end = offset
    for chunk in plain_chunks(path, offset - 1, limit):
        newline = chunk.data.find(b"\n")
        if newline >= 0:
            return chunk.offset + newline + 1
        end = chunk.position
    return end


def _unpacked(portion: Portion) -> Iterator[Chunk]:
    offset = 0
    with Path(portion.path).open("rb") as packed:
        for data in _contents(packed, str(portion.compression)):
            yield Chunk(data, offset, packed.tell())
            offset += len(data)


def _contents(packed: BinaryIO, compression: str) -> Iterator[bytes]:
    if compression == "xz":  # unknown to Arrow
        yield from _xz_contents(packed)
        return
    with pa.CompressedInputStream(packed, compression) as unpacked:
        while data := unpacked.read(CHUNK):
            yield data


def _xz_contents(packed: BinaryIO) -> Iterator[bytes]:
    """Streams one after another, with zeros between them. `lzma.open` would take a damaged second one for its end."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    while data := packed.read(CHUNK):
        while data or not decoder.needs_input:
            if decoder.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            if unpacked := decoder.decompress(data, CHUNK):
                yield unpacked
            data = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise EOFError("the file ends in the middle of a stream")
