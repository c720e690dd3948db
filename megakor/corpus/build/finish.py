"""From merged buckets to a whole shard in the work directory: index, metadata, checksums, manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from megakor.corpus import metadata
from megakor.corpus.build.merge import Bucket, Merge
from megakor.corpus.build.runs import LENGTH, read_arrow
from megakor.corpus.manifest import Count
from megakor.corpus.metadata import MetadataWriter
from megakor.corpus.shard_writer import shard_file, write_index
from megakor.storage import publish, remove, storage_errors, temporary_name

_NAMES_COUNTED = 1000
"""Names that the manifest holds at most, the largest ones."""
_NAMES_KEPT = 1 << 20
"""Names that are counted at most: memory must not grow with documents that have a source each."""


class Tally:
    """Documents, tokens and bytes by language and by source."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Count]] = {metadata.LANGUAGE: {}, metadata.SOURCE: {}}
        self.text_bytes = 0
        """Of all documents."""

    def add(self, rows: pa.Table) -> None:
        """Count rows with their lengths."""
        self.text_bytes += pc.sum(rows.column(metadata.TEXT_BYTES)).as_py() or 0
        for column, counts in self._counts.items():
            sums = [(LENGTH, "count"), (LENGTH, "sum"), (metadata.TEXT_BYTES, "sum")]
            plain = rows.select([column, LENGTH, metadata.TEXT_BYTES])
            plain = plain.set_column(0, column, plain.column(column).cast(pa.string()))
            for row in plain.group_by(column, use_threads=False).aggregate(sums).to_pylist():
                if row[column] not in counts and len(counts) >= _NAMES_KEPT:
                    continue
                old = counts.get(row[column], Count(0, 0, 0))
                counts[row[column]] = Count(
                    old.documents + row[f"{LENGTH}_count"],
                    old.tokens + row[f"{LENGTH}_sum"],
                    (old.text_bytes or 0) + row[f"{metadata.TEXT_BYTES}_sum"],
                )

    def counts(self) -> dict[str, dict[str, Count]]:
        """By name; the largest ones, where there are very many."""
        return {
            column: dict(sorted(sorted(counts.items(), key=lambda item: (-item[1].tokens, item[0]))[:_NAMES_COUNTED]))
            for column, counts in self._counts.items()
        }


def write_side_files(merge: Merge, buckets: Sequence[Bucket]) -> Tally:
    """Write ROLE.idx and ROLE.parquet of the work directory, whole and durable. Raises StorageError."""
    prefix = merge.directory / merge.role
    tally = Tally()
    documents = sum(bucket.documents for bucket in buckets)
    writer = MetadataWriter(prefix, merge.schema)
    index_path = shard_file(prefix, ".idx")
    temporary = temporary_name(index_path)
    try:
        with storage_errors(index_path), temporary.open("wb") as index:
            write_index(index, np.dtype(merge.dtype), documents, _lengths(merge, buckets, writer, tally))
            index.flush()
            os.fsync(index.fileno())
        writer.finish()
        writer.publish()
        publish(temporary, index_path)
    finally:
        writer.discard()
        remove(temporary)
    return tally


def _lengths(merge: Merge, buckets: Sequence[Bucket], writer: MetadataWriter, tally: Tally) -> Iterator[np.ndarray]:
    """The lengths of all documents in order; on the way their metadata are written and counted."""
    for bucket in buckets:
        rows = read_arrow(merge.rows_path(bucket))
        if not rows.num_rows:
            continue
        tally.add(rows)
        writer.write(rows.drop_columns([LENGTH]))
        yield rows.column(LENGTH).combine_chunks().to_numpy()


def side_files(prefix: Path) -> dict[str, Path]:
    """The files of a shard that have a checksum, by their name in the manifest."""
    return {name: shard_file(prefix, f".{name}") for name in ("bin", "idx", "parquet")}
