"""Digests of documents, scattered over files by their bits: equal documents meet in one file that fits into memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from megakor.storage import make_directory, storage_errors


def digests(tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """128-bit hashes of documents, each tokens [start, end): their first and last 64 bits, uint64 (documents,) twice.

    Two different documents among n have the same with a chance of about n^2 / 2^129.
    """
    view, size = np.ascontiguousarray(tokens).view(np.uint8).data, tokens.dtype.itemsize
    joined = b"".join(
        hashlib.blake2b(view[start:end], digest_size=16).digest()
        for start, end in zip((starts * size).tolist(), (ends * size).tolist(), strict=True)
    )
    both = np.frombuffer(joined, "<u8").reshape(-1, 2)
    return both[:, 0], both[:, 1]


class RecordFiles:
    """Records in numbered files of a directory; one is open at a time, so that their number is not limited.

    `advice` says what to do when they cannot be written.
    """

    def __init__(self, directory: Path, dtype: np.dtype, advice: str = "") -> None:
        self._directory, self._dtype, self._advice = directory, dtype, advice
        make_directory(directory)

    def append(self, records: np.ndarray, files: np.ndarray) -> None:
        """Add each record to the file of its number. Raises StorageError."""
        order = np.argsort(files, kind="stable")
        numbers, firsts = np.unique(files[order], return_index=True)
        for number, first, last in zip(numbers.tolist(), firsts, [*firsts[1:], len(records)], strict=False):
            path = self._path(number)
            with storage_errors(path, self._advice), path.open("ab") as file:
                file.write(records[order[first:last]].tobytes())

    def read(self, number: int) -> np.ndarray:
        """The records of a file in the order in which they came; none where it has none."""
        path = self._path(number)
        return np.fromfile(path, self._dtype) if path.exists() else np.empty(0, self._dtype)

    def remove(self, number: int) -> None:
        """Give the space of a file back."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:06d}"
