"""From merged buckets to a whole shard in the work directory: index, metadata, checksums, manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from megakor.corpus.build.merge import Bucket, Merge
from megakor.corpus.build.runs import LENGTH, read_arrow
from megakor.corpus.grouping import COUNTED, ManifestCounts
from megakor.corpus.metadata import MetadataWriter
from megakor.corpus.shard_writer import shard_file, write_index
from megakor.storage import publish, remove, storage_errors, temporary_name


def write_side_files(merge: Merge, buckets: Sequence[Bucket]) -> ManifestCounts:
    """Write ROLE.idx and ROLE.parquet of the work directory, whole and durable. Raises StorageError."""
    prefix = merge.directory / merge.role
    counts = ManifestCounts()
    documents = sum(bucket.documents for bucket in buckets)
    writer = MetadataWriter(prefix, merge.schema)
    index_path = shard_file(prefix, ".idx")
    temporary = temporary_name(index_path)
    try:
        with storage_errors(index_path), temporary.open("wb") as index:
            write_index(index, np.dtype(merge.dtype), documents, _lengths(merge, buckets, writer, counts))
            index.flush()
            os.fsync(index.fileno())
        writer.finish()
        writer.publish()
        publish(temporary, index_path)
    finally:
        writer.discard()
        remove(temporary)
    return counts


def _lengths(
    merge: Merge, buckets: Sequence[Bucket], writer: MetadataWriter, counts: ManifestCounts
) -> Iterator[np.ndarray]:
    """The lengths of all documents in order; on the way their metadata are written and counted."""
    for bucket in buckets:
        rows = read_arrow(merge.rows_path(bucket))
        if not rows.num_rows:
            continue
        lengths = rows.column(LENGTH).combine_chunks().to_numpy()
        counts.add({name: rows.column(name).combine_chunks() for name in COUNTED}, lengths)
        writer.write(rows.drop_columns([LENGTH]))
        yield lengths


def side_files(prefix: Path) -> dict[str, Path]:
    """The files of a shard that have a checksum, by their name in the manifest."""
    return {name: shard_file(prefix, f".{name}") for name in ("bin", "idx", "parquet")}
