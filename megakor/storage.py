"""Files that stand under their final name only when they are whole, and errors of the storage in words.

A file is written beside its target under a temporary name, flushed to the disk, then renamed: a reader, a crash or a
full disk never meets half a file under a name that promises a whole one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from megakor.errors import StorageError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space or write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EIO: "input/output error: the disk, or the network to it, has failed; mend it or write elsewhere",
    errno.EACCES: "permission denied; choose a directory that you may write to",
    errno.EPERM: "permission denied; choose a directory that you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EISDIR: "it is a directory; choose another name",
}
CONTINUE = "Then start the same command again: the run continues from its newest checkpoint."
"""What to do once the storage of a run is well again."""
_CHUNK = 8 << 20
"""Bytes read at a time when a file is hashed."""
HASH_PIECE = 4 << 20
"""A large file is hashed in pieces of so many bytes, so that several readers can share the work."""


@contextmanager
def storage_errors(path: Path, then: str = "") -> Iterator[None]:
    """Turn an operating-system error met while writing `path` into a StorageError that says what to do, and `then`."""
    try:
        yield
    except OSError as error:
        reason = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"{path}: cannot be written: {reason}. {then}".rstrip()) from error


def temporary_name(path: Path) -> Path:
    """A name in the directory of `path` (a rename across file systems would not be atomic), of this process alone.

    Processes on two machines that share the directory may have the same number.
    """
    return path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")


def make_directory(path: Path) -> None:
    """Create a directory and its parents. Raises StorageError."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def publish(temporary: Path, final: Path) -> None:
    """Rename a whole, flushed file to its final name and flush the directory."""
    with storage_errors(final):
        temporary.replace(final)
        sync_directory(final.parent)


def sync_directory(path: Path) -> None:
    """Make names that were added to a directory survive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_text_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file that appears when the block ends well. Raises StorageError; on any error nothing is left behind."""
    temporary = temporary_name(path)
    try:
        with storage_errors(path), temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 file, whole or not at all. Raises StorageError."""
    with new_text_file(path) as file:
        file.write(text)


def sync_file(path: Path) -> None:
    """Make the content of a file survive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits; reads it once, in pieces. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_pieces(path: Path, start: int, stop: int) -> list[str]:
    """SHA-256 of each piece of a file that begins at a byte in [start, stop), in hexadecimal digits. Raises OSError.

    Pieces begin at multiples of `HASH_PIECE` and end with the next one or the file, whatever `stop` is.
    """
    digests = []
    with path.open("rb") as file:
        for position in range(-(-start // HASH_PIECE) * HASH_PIECE, stop, HASH_PIECE):
            file.seek(position)
            if not (piece := file.read(HASH_PIECE)):
                break
            digests.append(hashlib.sha256(piece).hexdigest())
    return digests


def hash_of_pieces(digests: Sequence[str]) -> str:
    """The hash of a file by the digests of all its pieces in order.

    A file of one piece has its plain SHA-256; a longer one the SHA-256 of the hexadecimal digests joined (ASCII).
    """
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def remove(path: Path) -> None:
    """Delete a file if it is there; cleaning up never hides the error that led to it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
