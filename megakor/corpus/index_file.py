"""An .idx file read from end to end in stretches of bounded size, and its structure checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from megakor.corpus.inspection.findings import Findings
from megakor.corpus.numbers_in_file import SortedNumbers, open_file, read_array
from megakor.corpus.shard import HEADER, idx_path, parse_index_header
from megakor.errors import DataError

CHUNK = 1 << 18
"""Entries that are read at a time: a few megabytes."""


@dataclass(frozen=True)
class IndexFile:
    """Ranges of one index; the file is opened for each read, like `megakor.corpus.shard` does."""

    prefix: Path
    dtype: np.dtype
    sequences: int
    documents: int

    @classmethod
    def open(cls, prefix: Path) -> IndexFile:
        """Read the header. Raises DataError when it is none, or does not fit the size of the file."""
        with open_file(idx_path(prefix)) as file:
            size = file.seek(0, 2)
            raw = read_array(file, np.dtype(np.uint8), 0, min(size, HEADER.size)).tobytes()
        return cls(prefix, *parse_index_header(idx_path(prefix), raw, size))

    def lengths(self, first: int, last: int) -> np.ndarray:
        """Tokens of sequences [first, last), int32."""
        return self._read("<i4", HEADER.size + 4 * first, last - first)

    def pointers(self, first: int, last: int) -> np.ndarray:
        """Bytes in .bin at which sequences [first, last) begin, int64."""
        return self._read("<i8", HEADER.size + 4 * self.sequences + 8 * first, last - first)

    def first_sequences(self, first: int, last: int) -> np.ndarray:
        """Number of the first sequence of documents [first, last), int64; document `documents` is the end."""
        return self._read("<i8", HEADER.size + 12 * self.sequences + 8 * first, last - first)

    def offsets(self, first: int, last: int) -> np.ndarray:
        """Where documents [first, last) begin and the last of them ends, in tokens: int64 (last - first + 1,)."""
        sequences = self.first_sequences(first, last + 1)
        opened, closed = int(sequences[0]), int(sequences[-1])
        if opened < 0 or closed > self.sequences or np.any(sequences[1:] < sequences[:-1]):
            raise DataError(
                f"{idx_path(self.prefix)}: documents {first:,} to {last:,} are out of order; the index is damaged. "
                f"`megakor corpus verify {self.prefix}` says where."
            )
        starts = np.append(self.pointers(opened, closed) // self.dtype.itemsize, self._end(closed))
        return starts[sequences - opened]

    def chunks(self, documents: int = CHUNK) -> Iterator[tuple[int, np.ndarray]]:
        """All documents in order: number of the first one, and `offsets` of that many of them."""
        for first in range(0, self.documents, documents):
            yield first, self.offsets(first, min(first + documents, self.documents))

    def document_at(self, sequence: int) -> int:
        """The document that a sequence belongs to."""
        with open_file(idx_path(self.prefix)) as file:
            return self._document_starts.first_at_least(file, sequence + 1) - 1

    def first_document_at(self, token: int) -> int:
        """The first document that begins at a token or behind it; `documents` if there is none."""
        pointers = SortedNumbers(HEADER.size + 4 * self.sequences, self.sequences, self.bin_bytes)
        with open_file(idx_path(self.prefix)) as file:
            sequence = pointers.first_at_least(file, token * self.dtype.itemsize)
            return self._document_starts.first_at_least(file, sequence)

    @cached_property
    def _document_starts(self) -> SortedNumbers:
        return SortedNumbers(HEADER.size + 12 * self.sequences, self.documents, self.sequences)

    @cached_property
    def bin_bytes(self) -> int:
        """Size of the .bin that this index describes."""
        return self._end(self.sequences) * self.dtype.itemsize

    def _end(self, sequences: int) -> int:
        """Tokens of the first `sequences` sequences."""
        if sequences == 0:
            return 0
        last = int(self.pointers(sequences - 1, sequences)[0]) // self.dtype.itemsize
        return last + int(self.lengths(sequences - 1, sequences)[0])

    def _read(self, dtype: str, offset: int, count: int) -> np.ndarray:
        with open_file(idx_path(self.prefix)) as file:
            return read_array(file, np.dtype(dtype), offset, count)


def check_structure(index: IndexFile, findings: Findings) -> None:
    """Report every sequence whose offset or length cannot be, and every document that begins out of order."""
    _check_documents(index, findings)
    ordered = not findings.count
    size = index.dtype.itemsize
    for first in range(0, index.sequences, CHUNK):
        last = min(first + CHUNK, index.sequences)
        lengths = index.lengths(first, last).astype(np.int64)
        pointers = index.pointers(first, min(last + 1, index.sequences))
        if first == 0 and pointers[0] != 0:
            findings.add(idx_path(index.prefix), f"document 0 begins at byte {pointers[0]:,} instead of 0")
        ends = pointers[: len(lengths)] + lengths * size
        wrong = np.flatnonzero(lengths < 0)
        findings.add_many(
            idx_path(index.prefix), len(wrong), (_negative(index, first + int(i), lengths[i], ordered) for i in wrong)
        )
        wrong = np.flatnonzero(ends[: len(pointers) - 1] != pointers[1:])
        findings.add_many(
            idx_path(index.prefix),
            len(wrong),
            (_gap(index, first + int(i), int(ends[i]), int(pointers[i + 1]), ordered) for i in wrong),
        )


def _check_documents(index: IndexFile, findings: Findings) -> None:
    path = idx_path(index.prefix)
    previous = 0
    for first in range(0, index.documents + 1, CHUNK):
        starts = index.first_sequences(first, min(first + CHUNK, index.documents + 1))
        if first == 0 and starts[0] != 0:
            findings.add(path, f"document 0 begins at sequence {starts[0]:,} instead of 0")
        before = np.concatenate(([previous], starts[:-1]))
        wrong = np.flatnonzero((starts < before) | (starts > index.sequences))
        findings.add_many(
            path,
            len(wrong),
            (
                f"document {first + int(i):,} begins at sequence {starts[i]:,}, the one before it at {before[i]:,}, "
                f"and there are {index.sequences:,}"
                for i in wrong
            ),
        )
        previous = int(starts[-1])
    if previous != index.sequences:
        findings.add(path, f"its documents end at sequence {previous:,}, and there are {index.sequences:,}")


def _negative(index: IndexFile, sequence: int, length: int, ordered: bool) -> str:
    return f"{_place(index, sequence, ordered)} has a length of {length:,} tokens"


def _gap(index: IndexFile, sequence: int, end: int, begin: int, ordered: bool) -> str:
    return (
        f"{_place(index, sequence, ordered)} ends at byte {end:,} by its length, but the next one begins at {begin:,}: "
        "one of these entries is damaged"
    )


def _place(index: IndexFile, sequence: int, ordered: bool) -> str:
    """The document of a sequence in words; only its own number where the order of documents is damaged too."""
    if not ordered:
        return f"sequence {sequence:,}"
    document = index.document_at(sequence)
    if index.documents == index.sequences:
        return f"document {document:,}"
    return f"document {document:,} (sequence {sequence:,})"
