"""Documents with exactly the same tokens, found with a digest of each and a sort on the disk.

A digest has 64 bits: among a billion different documents the chance that any two share one is below 3 %.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np

from megakor.corpus.operations.stream import BATCH_TOKENS, cut_by_tokens, document_lengths
from megakor.corpus.shard import ShardReader
from megakor.storage import storage_errors

_RECORD = np.dtype([("digest", "<u8"), ("shard", "<i4"), ("document", "<i8"), ("tokens", "<i4")])
_RECORDS_AT_ONCE = 2 << 20
_MOST_FILES = 512


@dataclass(frozen=True)
class Repeated:
    """One document that occurs several times."""

    copies: int
    prefix: Path
    document: int
    """Number of the first of them in that shard, from 0."""
    tokens: int


@dataclass(frozen=True)
class Duplicates:
    """Documents that repeat an earlier one; the first of each is not counted, nor are empty ones."""

    documents: int
    tokens: int
    repeated: list[Repeated]
    """Those with the most copies, most first."""


def find_duplicates(shards: Sequence[ShardReader], shown: int = 5) -> Duplicates:
    """Compare all documents of all shards; needs 24 bytes of temporary disk for each (TMPDIR).

    Raises DataError for a damaged shard and StorageError when the temporary files cannot be written.
    """
    documents = sum(shard.documents for shard in shards)
    files = min(_MOST_FILES, 1 + documents // _RECORDS_AT_ONCE)
    repeats = tokens = 0
    top: list[tuple[int, int, int, int]] = []
    with storage_errors(Path("temporary files"), "Point TMPDIR elsewhere."), TemporaryDirectory() as scratch:
        paths = [Path(scratch) / str(number) for number in range(files)]
        _spill(shards, paths)
        for path in paths:
            records = np.fromfile(path, dtype=_RECORD)
            first, copies = _runs(records)
            repeats += int((copies - 1).sum())
            tokens += int(((copies - 1) * records["tokens"][first]).sum())
            chosen = np.argsort(-copies, kind="stable")[:shown]
            top += [_described(records[first[one]], int(copies[one])) for one in chosen if copies[one] > 1]
    most = heapq.nsmallest(shown, top)
    return Duplicates(
        repeats, tokens, [Repeated(-copies, shards[of].prefix, number, length) for copies, of, number, length in most]
    )


def _spill(shards: Sequence[ShardReader], paths: Sequence[Path]) -> None:
    """Write a record for each document into the file that its digest chooses."""
    with ExitStack() as stack:
        files: list[BinaryIO] = [stack.enter_context(path.open("wb")) for path in paths]
        for number, shard in enumerate(shards):
            for records in _records(number, shard):
                choice = records["digest"] % np.uint64(len(files))
                order = np.argsort(choice, kind="stable")
                parts = np.split(records[order], np.searchsorted(choice[order], np.arange(1, len(files))))
                for file, part in zip(files, parts, strict=True):
                    file.write(part.tobytes())


def _records(number: int, shard: ShardReader) -> Iterator[np.ndarray]:
    start = document = 0
    for lengths in document_lengths(shard):
        for first, last in cut_by_tokens(lengths, BATCH_TOKENS):
            part = lengths[first:last]
            raw = shard.read(start, int(part.sum())).view(np.uint8).data
            start += int(part.sum())
            records = np.empty(len(part), dtype=_RECORD)
            ends = (np.cumsum(part) * shard.dtype.itemsize).tolist()
            pieces = zip([0, *ends[:-1]], ends, strict=True)
            digests = b"".join(blake2b(raw[begin:end], digest_size=8).digest() for begin, end in pieces)
            records["digest"] = np.frombuffer(digests, dtype="<u8")
            records["shard"], records["tokens"] = number, part
            records["document"] = np.arange(document, document + len(part))
            document += len(part)
            yield records[part > 0]


def _runs(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the first record of each digest, and how many have it: int64 (digests,) twice."""
    order = np.argsort(records["digest"], kind="stable")
    digests = records["digest"][order]
    begins = np.flatnonzero(np.concatenate(([True], digests[1:] != digests[:-1]))) if len(digests) else order
    return order[begins], np.diff(begins, append=len(digests))


def _described(record: np.void, copies: int) -> tuple[int, int, int, int]:
    """Sorts by copies, most first, then by place."""
    return -copies, int(record["shard"]), int(record["document"]), int(record["tokens"])
