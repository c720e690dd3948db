"""Batches of documents -> a whole shard in the workplace of an operation: tokens, index, metadata and manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.grouping import ManifestCounts
from megakor.corpus.manifest import Manifest, write_manifest
from megakor.corpus.metadata import LANGUAGE, MetadataWriter
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.shard_writer import ShardWriter, shard_file
from megakor.storage import HASH_PIECE, hash_of_pieces, hash_pieces, storage_errors


class DocumentSink:
    """Writes one shard; memory holds a group of metadata rows and the counts.

    Use it as a context, call `finish` inside it, then `publish_shards` moves the files to their place.

    Args:
        directory: the workplace.
        name: last part of the output's prefix.
        schema: columns of the metadata of every batch.
        origin: what the inputs' manifests say together; None: there is no manifest to write.
        operation: what is added to the history: name, options, inputs.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        dtype: np.dtype,
        schema: pa.Schema,
        origin: Manifest | None,
        operation: dict[str, Any],
    ) -> None:
        self._prefix = directory / name
        self._origin = origin
        self._operation = operation
        self._counts = ManifestCounts()
        self._tokens = ShardWriter(self._prefix, dtype)
        self._metadata = MetadataWriter(self._prefix, schema)

    @property
    def documents(self) -> int:
        """Written so far."""
        return self._tokens.documents

    @property
    def tokens(self) -> int:
        """Written so far."""
        return self._tokens.tokens

    def write(self, batch: DocumentBatch) -> None:
        """Append documents. Raises StorageError."""
        self._tokens.add_documents(batch.tokens, batch.lengths)
        self._metadata.write(batch.metadata)
        columns = dict(zip(batch.metadata.schema.names, batch.metadata.columns, strict=True))
        self._counts.add(columns, batch.lengths)

    def finish(self) -> Manifest | None:
        """Make the shard whole in the workplace; returns its manifest where there is one. Raises StorageError."""
        self._tokens.finish()
        self._metadata.finish()
        self._tokens.publish()
        self._metadata.publish()
        if self._origin is None:
            return None
        manifest = self._manifest(self._origin)
        write_manifest(self._prefix, manifest)
        return manifest

    def _manifest(self, origin: Manifest) -> Manifest:
        text_bytes = self._counts.text_bytes
        if (self.documents, self.tokens) == (origin.documents, origin.tokens):
            text_bytes = origin.text_bytes  # also known where single documents are not measured
        counts = self._counts.largest()
        languages = list(counts.get(LANGUAGE, ()))
        return replace(
            origin,
            language=languages[0] if len(languages) == 1 else origin.language,
            tokens=self.tokens,
            documents=self.documents,
            text_bytes=text_bytes,
            dtype=self._tokens.dtype.name,
            bin_bytes=self.tokens * self._tokens.dtype.itemsize,
            idx_bytes=self._tokens.index_bytes,
            counts=counts,
            checksums={name: self._checksum(name) for name in ("bin", "idx", "parquet")},
            operations=[*origin.operations, self._operation],
        )

    def _checksum(self, name: str) -> str:
        path = shard_file(self._prefix, f".{name}")
        with storage_errors(path):
            return hash_of_pieces(hash_pieces(path, 0, max(HASH_PIECE, path.stat().st_size)))

    def __enter__(self) -> DocumentSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._tokens.discard()
        finally:
            self._metadata.discard()
