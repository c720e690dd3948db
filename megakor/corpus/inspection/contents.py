"""The tokens of a shard against what is known of them: a hash for the file, a CRC-32 for each document, a vocabulary.

The .bin is cut into tasks of whole pieces, so that several processes can check it; a task hashes its pieces and checks
the documents that begin in them, and holds a few megabytes whatever their lengths.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.columns import ChecksumColumn
from megakor.corpus.metadata import CHECKSUM
from megakor.corpus.numbers_in_file import open_file, read_array
from megakor.corpus.shard import bin_path
from megakor.storage import HASH_PIECE, hash_pieces

_PIECES_A_TASK = 16
_BATCH_BYTES = 8 << 20
_BATCH_DOCUMENTS = 65_536
_KEPT = 1_000
"""Sentences that a task keeps of each kind."""


@dataclass(frozen=True)
class ContentTask:
    """Pieces [first, last) of one .bin. What is None or False is not checked."""

    index: IndexFile
    first: int
    last: int
    hashes: bool
    documents: bool
    checksums: bool
    vocabulary_size: int | None

    @property
    def prefix(self) -> Path:
        """Of the shard."""
        return self.index.prefix

    @property
    def bytes(self) -> int:
        """Bytes of .bin."""
        return min(self.last * HASH_PIECE, self.index.bin_bytes) - self.first * HASH_PIECE


@dataclass
class ContentResult:
    """What one task found; small and picklable."""

    hashes: list[str] = field(default_factory=list)
    documents: int = 0
    """Documents compared with their checksum."""
    changed: int = 0
    """Documents whose tokens have another checksum."""
    foreign: int = 0
    """Documents with an id outside the vocabulary."""
    changed_messages: list[str] = field(default_factory=list)
    foreign_messages: list[str] = field(default_factory=list)
    """Of the first few of them."""

    def add(self, other: ContentResult) -> None:
        """Take in the next task's result."""
        self.hashes += other.hashes
        self.documents += other.documents
        self.changed += other.changed
        self.foreign += other.foreign
        self.changed_messages += other.changed_messages[: _KEPT - len(self.changed_messages)]
        self.foreign_messages += other.foreign_messages[: _KEPT - len(self.foreign_messages)]


def content_tasks(
    index: IndexFile, hashes: bool, documents: bool, checksums: bool, vocabulary_size: int | None
) -> list[ContentTask]:
    """Cut one .bin into tasks of at least 64 MiB, and a few thousand of them at most."""
    pieces = max(1, -(-index.bin_bytes // HASH_PIECE))
    step = max(_PIECES_A_TASK, -(-pieces // 4096))
    return [
        ContentTask(index, first, min(first + step, pieces), hashes, documents, checksums, vocabulary_size)
        for first in range(0, pieces, step)
    ]


def check_contents(task: ContentTask) -> ContentResult:
    """Do one task. Raises DataError when a file can no longer be read."""
    result = ContentResult()
    if task.hashes:
        result.hashes = hash_pieces(bin_path(task.prefix), task.first * HASH_PIECE, task.last * HASH_PIECE)
    if task.documents:
        with open_file(bin_path(task.prefix)) as file:
            _check_documents(task, file, result)
    return result


def _check_documents(task: ContentTask, file: BinaryIO, result: ContentResult) -> None:
    size = task.index.dtype.itemsize
    first, last = (_document_at(task.index, piece * HASH_PIECE) for piece in (task.first, task.last))
    expected = ChecksumColumn(task.prefix, CHECKSUM, first) if task.checksums else None
    for start in range(first, last, _BATCH_DOCUMENTS):
        count = min(_BATCH_DOCUMENTS, last - start)
        offsets = task.index.offsets(start, start + count) * size
        wanted = expected.take(count) if expected else None
        for number, stop in _batches(offsets):
            found = _check_batch(task, file, start + number, offsets[number : stop + 1], result)
            if wanted is not None:
                _compare(start + number, found, wanted[0][number:stop], wanted[1][number:stop], result)


def _document_at(index: IndexFile, byte: int) -> int:
    """The first document that begins at a byte or behind it; all of them begin before the end of the file."""
    if byte >= max(1, index.bin_bytes):
        return index.documents
    return index.first_document_at(-(-byte // index.dtype.itemsize))


def _batches(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of documents of at most _BATCH_BYTES together, or one longer document."""
    first = 0
    while first < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[first] + _BATCH_BYTES, side="right")) - 1
        stop = max(stop, first + 1)
        yield first, stop
        first = stop


def _check_batch(
    task: ContentTask, file: BinaryIO, first: int, offsets: np.ndarray, result: ContentResult
) -> np.ndarray:
    """The CRC-32 of each document, uint32; ids outside the vocabulary are noted on the way."""
    start, stop = int(offsets[0]), int(offsets[-1])
    if stop - start > _BATCH_BYTES:
        return np.array([_check_long(task, file, first, start, stop, result)], dtype=np.uint32)
    raw = _read(file, start, stop).data
    _check_ids(task, raw, first, offsets - start, result)
    if not task.checksums:
        return np.empty(0, dtype=np.uint32)
    cuts = pairwise((offsets - start).tolist())
    return np.fromiter((zlib.crc32(raw[begin:end]) for begin, end in cuts), dtype=np.uint32, count=len(offsets) - 1)


def _check_long(task: ContentTask, file: BinaryIO, document: int, start: int, stop: int, result: ContentResult) -> int:
    """One document in stretches."""
    checksum, foreign = 0, result.foreign
    for begin in range(start, stop, _BATCH_BYTES):
        raw = _read(file, begin, min(begin + _BATCH_BYTES, stop)).data
        checksum = zlib.crc32(raw, checksum)
        if result.foreign == foreign:
            _check_ids(task, raw, document, np.array([0, len(raw)]), result)
    return checksum


def _check_ids(task: ContentTask, raw: memoryview, first: int, offsets: np.ndarray, result: ContentResult) -> None:
    ids = np.frombuffer(raw, dtype=task.index.dtype)
    if task.vocabulary_size is None or not len(ids) or (ids.min() >= 0 and int(ids.max()) < task.vocabulary_size):
        return
    places = np.flatnonzero((ids < 0) | (ids >= task.vocabulary_size))
    documents = np.searchsorted(offsets, places * task.index.dtype.itemsize, side="right") - 1
    documents, which = np.unique(documents, return_index=True)
    result.foreign += len(documents)
    for document, place in zip(documents[:_KEPT], places[which], strict=False):
        result.foreign_messages.append(
            f"document {first + int(document):,} has token id {ids[place]:,}; the vocabulary ends at "
            f"{task.vocabulary_size - 1:,}"
        )


def _compare(first: int, found: np.ndarray, wanted: np.ndarray, known: np.ndarray, result: ContentResult) -> None:
    changed = np.flatnonzero(known & (found != wanted))
    result.documents += int(known.sum())
    result.changed += len(changed)
    for document in changed[:_KEPT].tolist():
        place = f"document {first + document:,}"
        result.changed_messages.append(f"{place}: its tokens are not those that its checksum stands for (CRC-32)")


def _read(file: BinaryIO, start: int, stop: int) -> np.ndarray:
    return read_array(file, np.dtype(np.uint8), start, stop - start)
