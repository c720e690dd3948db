"""How many documents have exactly the same tokens, found with a digest of each and a sort on the disk."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from megakor.corpus.operations.digests import RecordFiles, digests
from megakor.corpus.operations.stream import BATCH_TOKENS, cut_by_tokens, document_lengths
from megakor.corpus.shard import ShardReader
from megakor.storage import storage_errors

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("shard", "<i4"), ("document", "<i8"), ("tokens", "<i4")])
_RECORDS_AT_ONCE = 2 << 20
_MOST_FILES = 512
_ADVICE = "Point TMPDIR elsewhere."


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
    """Compare all documents of all shards; needs 32 bytes of temporary disk for each (TMPDIR).

    Raises DataError for a damaged shard and StorageError when the temporary files cannot be written.
    """
    documents = sum(shard.documents for shard in shards)
    files = min(_MOST_FILES, 1 + documents // _RECORDS_AT_ONCE)
    repeats = tokens = 0
    top: list[tuple[int, int, int, int]] = []
    with storage_errors(Path("temporary files"), _ADVICE), TemporaryDirectory() as scratch:
        spilt = RecordFiles(Path(scratch), _RECORD, _ADVICE)
        for number, shard in enumerate(shards):
            for records in _records(number, shard):
                spilt.append(records, records["high"] % np.uint64(files))
        for file in range(files):
            records = spilt.read(file)
            first, copies = _runs(records)
            repeats += int((copies - 1).sum())
            tokens += int(((copies - 1) * records["tokens"][first]).sum())
            chosen = np.argsort(-copies, kind="stable")[:shown]
            top += [_described(records[first[one]], int(copies[one])) for one in chosen if copies[one] > 1]
    most = heapq.nsmallest(shown, top)
    return Duplicates(
        repeats, tokens, [Repeated(-copies, shards[of].prefix, number, length) for copies, of, number, length in most]
    )


def _records(number: int, shard: ShardReader) -> Iterator[np.ndarray]:
    """A record for each document that has tokens, in batches."""
    start = document = 0
    for lengths in document_lengths(shard):
        for first, last in cut_by_tokens(lengths, BATCH_TOKENS):
            part = lengths[first:last]
            tokens = shard.read(start, int(part.sum()))
            start += len(tokens)
            records = np.empty(len(part), dtype=_RECORD)
            ends = np.cumsum(part)
            records["high"], records["low"] = digests(tokens, ends - part, ends)
            records["shard"], records["tokens"] = number, part
            records["document"] = np.arange(document, document + len(part))
            document += len(part)
            yield records[part > 0]


def _runs(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the first record of each digest, and how many have it: int64 (digests,) twice."""
    order = np.lexsort((records["low"], records["high"]))  # stable: the first of equal ones stays first
    high, low = records["high"][order], records["low"][order]
    differs = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    begins = np.flatnonzero(np.concatenate(([True], differs))) if len(order) else order
    return order[begins], np.diff(begins, append=len(order))


def _described(record: np.void, copies: int) -> tuple[int, int, int, int]:
    """Sorts by copies, most first, then by place."""
    return -copies, int(record["shard"]), int(record["document"]), int(record["tokens"])
