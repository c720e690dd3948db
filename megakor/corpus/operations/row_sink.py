"""Rows of pieces -> a shard whose every sequence is one row, and PREFIX.rows.arrow beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import name_column
from megakor.corpus.manifest import Manifest, write_manifest
from megakor.corpus.metadata import CHECKSUM, COLUMNS, LANGUAGE, POSITION, SOURCE, TEXT_BYTES
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.pieces import Piece
from megakor.corpus.operations.row_counts import RowCounts
from megakor.corpus.operations.sink import DocumentSink
from megakor.corpus.operations.stream import checksums
from megakor.corpus.row_file import SUFFIX, RowFileWriter
from megakor.corpus.shard_writer import shard_file
from megakor.storage import hash_of_pieces, hash_pieces, storage_errors

DOCUMENT_LANGUAGE = "language of documents"
"""What the manifest counts, without padding; the metadata beside the shard describe rows."""
_BUFFER_TOKENS = 1 << 20


@dataclass(frozen=True)
class RowFormat:
    """row_tokens: of every row. pad_id: fills a row up. whole: a row is one attention segment, else each piece is."""

    row_tokens: int
    pad_id: int
    whole: bool


class RowSink:
    """Writes the rows of one output in a workplace; memory holds about a million tokens.

    Args:
        prefix: in the workplace.
        dtype, origin, operation: as for `DocumentSink`.
    """

    def __init__(
        self, prefix: Path, dtype: np.dtype, origin: Manifest | None, operation: dict[str, Any], rows: RowFormat
    ) -> None:
        self.counts = RowCounts()
        self._prefix = prefix
        self._format = rows
        self._sink = DocumentSink(prefix.parent, prefix.name, dtype, COLUMNS, origin, operation)
        self._rows = RowFileWriter(prefix, rows.row_tokens)
        self._buffer = np.empty((max(1, _BUFFER_TOKENS // rows.row_tokens), rows.row_tokens), dtype=dtype)
        self._languages: list[str] = []

    def add(self, row: list[Piece]) -> None:
        """Append a row of at most `row_tokens` tokens. Raises StorageError."""
        target = self._buffer[len(self._languages)]
        tokens = self.counts.add(row, len(target))
        np.concatenate([piece.tokens for piece in row], out=target[:tokens])
        target[tokens:] = self._format.pad_id
        self._describe(row, tokens)
        self._languages.append("+".join(sorted({piece.language for piece in row})))
        if len(self._languages) == len(self._buffer):
            self._flush()

    def finish(self, text_bytes: int | None) -> Manifest | None:
        """Make the shard whole; the manifest says `text_bytes`. Returns it, None where no input has one."""
        self._flush()
        self._rows.finish()
        self._rows.publish()
        manifest = self._sink.finish()
        if manifest is None:
            return None
        counts = self.counts
        described = replace(
            manifest,
            language="+".join(sorted(counts.documents)),
            tokens=counts.tokens,
            padding_tokens=counts.padding,
            text_bytes=text_bytes,
            counts={DOCUMENT_LANGUAGE: counts.by_language()},
            checksums=manifest.checksums | {SUFFIX.removeprefix("."): self._checksum()},
        )
        write_manifest(self._prefix, described)
        return described

    def _checksum(self) -> str:
        path = shard_file(self._prefix, SUFFIX)
        with storage_errors(path):
            return hash_of_pieces(hash_pieces(path, 0, path.stat().st_size))

    def _describe(self, row: list[Piece], tokens: int) -> None:
        starts = np.cumsum([0, *map(len, row[:-1])]).tolist()
        spans = [
            {"start": start + first, "stop": start + last}
            for start, piece in zip(starts, row, strict=True)
            for first, last in piece.loss_off
        ]
        if tokens < self._format.row_tokens:
            spans.append({"start": tokens, "stop": self._format.row_tokens})
        self._rows.add(
            tokens=tokens,
            document_starts=starts,
            segment_starts=[0] if self._format.whole else starts,
            documents=[piece.document for piece in row],
            offsets=[piece.offset for piece in row],
            languages=[piece.language for piece in row],
            loss_off=spans,
        )

    def _flush(self) -> None:
        count = len(self._languages)
        if not count:
            return
        tokens = self._buffer[:count].ravel()
        lengths = np.full(count, self._buffer.shape[1], dtype=np.int64)
        first = self.counts.rows - count
        columns = {
            SOURCE: pa.nulls(count, COLUMNS.field(SOURCE).type),
            LANGUAGE: name_column(self._languages, count),
            POSITION: pa.array(np.arange(first, first + count)),
            TEXT_BYTES: pa.nulls(count, pa.int64()),
            CHECKSUM: pa.array(checksums(tokens, lengths)),
        }
        self._sink.write(DocumentBatch(tokens, lengths, pa.RecordBatch.from_pydict(columns, schema=COLUMNS)))
        self._languages = []

    def __enter__(self) -> RowSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._rows.discard()
        finally:
            self._sink.__exit__(kind, error, trace)
