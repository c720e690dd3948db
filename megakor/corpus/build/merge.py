"""Runs -> one .bin: the keys are cut into ranges, and the documents of each range fit into memory and are sorted there.

Every range has its own region of the file, so ranges are written by several processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import common_schema, conformed
from megakor.corpus.build.runs import LENGTH, RegionWriter, Run, RunPart, pieces_in_order, write_arrow
from megakor.corpus.build.values import settled, settled_schema
from megakor.corpus.metadata import CHECKSUM, checksums
from megakor.errors import DataError
from megakor.storage import storage_errors

BUCKET_BYTES = 64 << 20
"""Token bytes of a range, about."""
ALL_KEYS = 1 << 64
_RUNS_OPEN = 1000
"""Runs that are mapped into memory at once; a process may have some 65,000 maps."""
_DAMAGED = "{}: the work of this build is damaged ({}). Remove the directory and start again."


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
    collected: pa.Schema
    """Columns of the runs, those of chosen fields by kind."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the shard's metadata."""
        return settled_schema(self.collected)

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
    kind = np.dtype(dtype)
    # One run is open at a time, however many there are.
    schema = common_schema(Run(directory, name, kind).schema for name in runs)
    edges = _edges((Run(directory, name, kind) for name in runs), kind.itemsize, shuffled)
    documents, tokens = np.zeros((2, len(edges) - 1), dtype=np.int64)
    for name in runs:
        more_documents, more_tokens = Run(directory, name, kind).sizes(edges)
        documents += more_documents
        tokens += more_tokens
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

    Memory: the tokens of the bucket, and its metadata twice. Raises DataError for a damaged run, StorageError.
    """
    whole = _collected(merge, bucket)
    order = np.argsort(whole.keys)
    starts = np.cumsum(whole.lengths) - whole.lengths
    with RegionWriter(merge.bin_path, bucket.offset * np.dtype(merge.dtype).itemsize) as region:
        for piece in pieces_in_order(whole.tokens, starts, whole.lengths, order):
            region.write(piece)
    rows = settled(whole.rows, merge.schema).take(pa.array(order))
    write_arrow(merge.rows_path(bucket), rows.append_column(LENGTH, pa.array(whole.lengths[order].astype(np.int32))))


def _edges(runs: Iterable[Run], itemsize: int, shuffled: bool) -> list[int]:
    """Bounds of the ranges, from 0 to 2^64. Shuffled keys are spread evenly; else runs follow each other."""
    sizes = sorted((int(run.keys[0]), run.tokens * itemsize) for run in runs if len(run.keys))
    if shuffled:
        count = max(1, -(-sum(size for _, size in sizes) // BUCKET_BYTES))
        return [ALL_KEYS * number // count for number in range(count + 1)]
    edges, filled = [0], 0
    for first, size in sizes:
        if filled and filled + size > BUCKET_BYTES:
            edges.append(first)
            filled = 0
        filled += size
    return [*edges, ALL_KEYS]


def _collected(merge: Merge, bucket: Bucket) -> RunPart:
    """The documents of a range from all runs, checked. Raises DataError for damage."""
    tokens = np.empty(bucket.tokens, np.dtype(merge.dtype))
    groups, filled = [], 0
    try:
        for first in range(0, len(merge.runs), _RUNS_OPEN):
            parts = []
            for name in merge.runs[first : first + _RUNS_OPEN]:
                if (part := merge.open_run(name).part(bucket.low, bucket.high, tokens[filled:])) is not None:
                    parts.append(part)
                    filled += len(part.tokens)
            groups.append(_joined(parts, tokens, merge))
        whole = _joined(groups, tokens, merge)
        sound = CHECKSUM not in merge.collected.names or np.array_equal(
            whole.rows[CHECKSUM].to_numpy(), checksums(whole.tokens, whole.lengths)
        )
    except pa.ArrowException as error:
        raise DataError(_DAMAGED.format(merge.directory, error)) from error
    if not sound or filled != bucket.tokens:
        raise DataError(_DAMAGED.format(merge.directory, "documents do not have their checksums"))
    return whole


def _joined(parts: Sequence[RunPart], tokens: np.ndarray, merge: Merge) -> RunPart:
    """Several parts as one, their tables in memory of their own: the files that they were mapped from can be closed."""
    tables = [conformed(part.rows, merge.collected) for part in parts] or [merge.collected.empty_table()]
    return RunPart(
        tokens=tokens,
        lengths=np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)]),
        keys=np.concatenate([np.empty(0, np.uint64), *(part.keys for part in parts)]),
        rows=pa.concat_tables(tables).unify_dictionaries().combine_chunks(),
    )
