"""Finds documents with equal tokens among more documents than fit into memory.

128-bit hashes are scattered over files by their first bits, so that equal ones meet in one file that fits into memory;
the numbers of the duplicates found there are scattered back over files by ranges of documents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.digests import RecordFiles, digests

RANGE_DOCUMENTS = 1 << 22
"""Documents whose duplicates are looked at together in the end."""
_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("number", "<i8")])
_COPIES = 4  # of a file of records while it is sorted
_MOST_FILES = 256


class Duplicates:
    """Takes documents in order, then says which are equal to an earlier one.

    Memory: about `memory` bytes up to some 3 billion documents for each GiB (256 files of 24 bytes a document, four
    times), and a proportional part more beyond. Disk: 24 bytes a document.

    Args:
        directory: where directories for the hashes may be made; the caller removes them.
        documents: how many will come.
        end: the end-of-document token, which is left out of the comparison; None: there is none.
    """

    def __init__(self, directory: Path, documents: int, memory: int, end: int | None) -> None:
        self._hashes = RecordFiles(directory / "hashes", _RECORD)
        self._numbers = RecordFiles(directory / "numbers", np.dtype(np.int64))
        self._files = min(_MOST_FILES, max(1, -(-documents * _RECORD.itemsize * _COPIES // memory)))
        self._end = end
        self._taken = 0
        self._range = -1
        self._in_range = np.empty(0, bool)

    def add(self, batch: DocumentBatch) -> None:
        """Take the next documents. Raises StorageError."""
        records = np.empty(batch.documents, _RECORD)
        records["high"], records["low"] = self._digests(batch)
        records["number"] = np.arange(self._taken, self._taken + batch.documents)
        self._taken += batch.documents
        self._hashes.append(records, records["high"] % np.uint64(self._files))

    def find(self) -> int:
        """Find all duplicates; returns how many there are. Raises StorageError."""
        found = 0
        for file in range(self._files):
            numbers = _later_of_equal(self._hashes.read(file))
            self._hashes.remove(file)
            self._numbers.append(numbers, numbers // RANGE_DOCUMENTS)
            found += len(numbers)
        return found

    def among(self, first: int, count: int) -> np.ndarray:
        """Which of the documents [first, first + count) are equal to an earlier one, bool (count,); after `find`."""
        parts = []
        while count:
            number, place = divmod(first, RANGE_DOCUMENTS)
            if number != self._range:
                self._range, self._in_range = number, np.zeros(RANGE_DOCUMENTS, bool)
                numbers = self._numbers.read(number)
                self._in_range[numbers - number * RANGE_DOCUMENTS] = True
            parts.append(self._in_range[place : place + count])
            first, count = first + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts) if parts else np.empty(0, bool)

    def _digests(self, batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
        starts, ends = batch.starts[:-1], batch.starts[1:]
        if self._end is not None and len(batch.tokens):
            ends = ends - ((ends > starts) & (batch.tokens[ends - 1] == self._end))
        return digests(batch.tokens, starts, ends)


def _later_of_equal(records: np.ndarray) -> np.ndarray:
    """Numbers of the records that have the hash of an earlier one, int64; the records are in order of their numbers."""
    order = np.lexsort((records["low"], records["high"]))  # stable: among equal hashes the numbers stay in order
    ordered = records[order]
    equal = (ordered["high"][1:] == ordered["high"][:-1]) & (ordered["low"][1:] == ordered["low"][:-1])
    return ordered["number"][1:][equal]
