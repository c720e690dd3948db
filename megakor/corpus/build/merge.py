"""Runs -> one .bin: the keys are cut into ranges, and the documents of each range fit into memory and are sorted there.

Every range has its own region of the file, so ranges are written by several processes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import common_schema, conformed
from megakor.corpus.build.runs import LENGTH, RegionWriter, Run, RunPart, pieces_in_order, write_arrow
from megakor.storage import storage_errors

BUCKET_BYTES = 64 << 20
"""Token bytes of a range, about."""
ALL_KEYS = 1 << 64


@dataclass(frozen=True)
class Bucket:
    """The documents with low <= key < high; `offset` is where they begin in the .bin, in tokens."""

    name: str
    low: int
    high: int
    documents: int
    tokens: int
    offset: int


@dataclass(frozen=True)
class Merge:
    """What puts the runs of one role together; the same in every worker."""

    directory: Path
    role: str
    runs: tuple[str, ...]
    """Names, in the order of the inputs."""
    dtype: str
    schema: pa.Schema

    @property
    def bin_path(self) -> Path:
        """The tokens of the shard, in the work directory."""
        return self.directory / f"{self.role}.bin"

    def rows_path(self, bucket: Bucket) -> Path:
        """The metadata and lengths of a bucket's documents."""
        return self.directory / f"{self.role}.{bucket.name}.rows"

    def open_run(self, name: str) -> Run:
        """Raises DataError."""
        return Run(self.directory, name, np.dtype(self.dtype))


def plan_merge(
    directory: Path, role: str, runs: Sequence[str], dtype: str, shuffled: bool
) -> tuple[Merge, list[Bucket]]:
    """Decide the ranges. Depends on the runs alone, so that an interrupted merge goes on with the same ranges."""
    opened = [Run(directory, name, np.dtype(dtype)) for name in runs]
    schema = common_schema(run.schema for run in opened)
    edges = _edges(opened, np.dtype(dtype).itemsize, shuffled)
    sizes = [run.sizes(edges) for run in opened]
    documents, tokens = np.sum(np.array(sizes, dtype=np.int64).reshape(-1, 2, len(edges) - 1), axis=0)
    offsets = np.cumsum(tokens) - tokens
    buckets = [
        Bucket(
            f"{number:05d}", edges[number], edges[number + 1], int(documents[number]), int(tokens[number]), int(offset)
        )
        for number, offset in enumerate(offsets)
    ]
    return Merge(directory, role, tuple(runs), dtype, schema), buckets


def create_bin(merge: Merge, tokens: int) -> None:
    """A file of the whole size, for the buckets to fill. Raises StorageError."""
    with storage_errors(merge.bin_path), merge.bin_path.open("ab") as file:
        file.truncate(tokens * np.dtype(merge.dtype).itemsize)


def merge_bucket(merge: Merge, bucket: Bucket) -> None:
    """Write the documents of a range in order: tokens into the .bin, metadata into a file of their own.

    Memory: twice the tokens of the bucket. Raises DataError for a damaged run, StorageError.
    """
    parts = [part for name in merge.runs if (part := merge.open_run(name).part(bucket.low, bucket.high))]
    keys, lengths, tokens = (_joined(parts, name) for name in ("keys", "lengths", "tokens"))
    order = np.argsort(keys)
    with RegionWriter(merge.bin_path, bucket.offset * np.dtype(merge.dtype).itemsize) as region:
        for piece in pieces_in_order(tokens, np.cumsum(lengths) - lengths, lengths, order):
            region.write(piece)
    rows = (
        pa.concat_tables([conformed(part.rows, merge.schema) for part in parts])
        if parts
        else merge.schema.empty_table()
    )
    rows = rows.unify_dictionaries().combine_chunks().take(pa.array(order))
    write_arrow(merge.rows_path(bucket), rows.append_column(LENGTH, pa.array(lengths[order].astype(np.int32))))


def _edges(runs: Sequence[Run], itemsize: int, shuffled: bool) -> list[int]:
    """Bounds of the ranges, from 0 to 2^64. Shuffled keys are spread evenly; else runs follow each other."""
    sizes = [int(run.sizes([0, ALL_KEYS])[1][0]) * itemsize for run in runs]
    if shuffled:
        count = max(1, -(-sum(sizes) // BUCKET_BYTES))
        return [ALL_KEYS * number // count for number in range(count + 1)]
    edges, filled = [0], 0
    for first, size in sorted((int(run.keys[0]), size) for run, size in zip(runs, sizes, strict=True) if len(run.keys)):
        if filled and filled + size > BUCKET_BYTES:
            edges.append(first)
            filled = 0
        filled += size
    return [*edges, ALL_KEYS]


def _joined(parts: Sequence[RunPart], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0, np.int64)
