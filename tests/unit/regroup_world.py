"""Small shards with metadata for the tests of regrouping, and what their rows must be."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Manifest
from megakor.corpus.metadata import COLUMNS
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.regroup import Regrouped, regroup
from megakor.corpus.operations.regroup_options import RegroupOptions
from megakor.corpus.operations.sink import DocumentSink
from megakor.corpus.operations.workplace import Output
from megakor.corpus.row_file import Row, RowFile
from megakor.corpus.shard import ShardReader

PAD = 999
VOCABULARY = 1000


def manifest(**changes: Any) -> Manifest:
    fixed: dict[str, Any] = {
        "tokenizer_sha256": "a" * 64,
        "vocabulary_size": VOCABULARY,
        "language": "",
        "tokens": 0,
        "documents": 0,
        "text_bytes": 0,
        "dtype": "uint16",
        "bin_bytes": 0,
        "idx_bytes": 0,
        "append_eod": True,
        "inputs": [],
        "holdout_share": 0.0,
        "role": "training",
    }
    return Manifest(**fixed | changes)


def documents_of(lengths: Sequence[int]) -> list[np.ndarray]:
    """Documents of these lengths; the tokens of no two are alike for long."""
    return [
        np.random.default_rng([number, length]).integers(0, PAD, length).astype(np.uint16)
        for number, length in enumerate(lengths)
    ]


def write_shard(
    prefix: Path,
    documents: Sequence[np.ndarray],
    languages: Sequence[str | None] | str = "ko",
    origin: Manifest | None = None,
    **fields: Any,
) -> Path:
    """A shard with metadata; `fields` are further columns, a list or an array each."""
    count = len(documents)
    tokens = np.concatenate([np.empty(0, np.uint16), *documents])
    lengths = np.array([len(document) for document in documents], dtype=np.int64)
    names = [languages] * count if isinstance(languages, str) else list(languages)
    table = {
        "source": pa.array(["test"] * count, pa.string()).dictionary_encode(),
        "language": pa.array(names, pa.string()).dictionary_encode(),
        "position": pa.array(range(count), pa.int64()),
        "text_bytes": pa.array([3] * count, pa.int64()),
        "crc32": pa.array([zlib.crc32(document.tobytes()) for document in documents], pa.uint32()),
    } | {name: pa.array(values) for name, values in fields.items()}
    schema = pa.schema([*COLUMNS, *((name, table[name].type) for name in fields)])
    rows = pa.RecordBatch.from_pydict(table, schema=schema)
    with DocumentSink(
        prefix.parent, prefix.name, np.dtype(np.uint16), schema, origin or manifest(), {"name": "test"}
    ) as sink:
        sink.write(DocumentBatch(tokens, lengths, rows))
        sink.finish()
    return prefix


def grouped(inputs: Sequence[Path], output: Path, **options: Any) -> Regrouped:
    done = regroup(inputs, Output(output), RegroupOptions(**{"pad_id": PAD} | options), lambda _: None)
    assert done is not None
    return done


def read_rows(prefix: Path) -> list[tuple[Row, np.ndarray]]:
    """Every row and its token ids."""
    rows, shard = RowFile(prefix), ShardReader(prefix)
    assert shard.documents == len(rows)
    assert shard.tokens == len(rows) * rows.row_tokens
    length = rows.row_tokens
    return [(rows.row(number), shard.read(number * length, length)) for number in range(len(rows))]


def pieces_of(rows: Sequence[tuple[Row, np.ndarray]]) -> dict[int, list[tuple[int, np.ndarray]]]:
    """Document -> its (offset, tokens), ascending."""
    found: dict[int, list[tuple[int, np.ndarray]]] = {}
    for row, tokens in rows:
        stops = [*row.document_starts[1:].tolist(), row.tokens]
        for document, offset, start, stop in zip(
            row.documents.tolist(), row.offsets.tolist(), row.document_starts.tolist(), stops, strict=True
        ):
            found.setdefault(document, []).append((offset, tokens[start:stop]))
    return {document: sorted(pieces, key=lambda piece: piece[0]) for document, pieces in found.items()}


def check_rows(rows: Sequence[tuple[Row, np.ndarray]]) -> None:
    """What holds for every row: starts in order, segments at documents, padding at the end and without loss."""
    for row, tokens in rows:
        starts, segments = row.document_starts, row.segment_starts
        assert starts[0] == segments[0] == 0
        assert (np.diff(starts) > 0).all()
        assert starts[-1] < row.tokens <= len(tokens)
        assert set(segments.tolist()) <= set(starts.tolist())
        assert (tokens[row.tokens :] == PAD).all()
        assert len(starts) == len(row.documents) == len(row.offsets) == len(row.languages)
        if row.tokens < len(tokens):
            assert row.loss_off[-1].tolist() == [row.tokens, len(tokens)]
        flat = row.loss_off.ravel()
        assert (np.diff(flat) >= 0).all()


def check_every_token_once(rows: Sequence[tuple[Row, np.ndarray]], documents: Sequence[np.ndarray]) -> None:
    found = pieces_of(rows)
    assert sorted(found) == [number for number, document in enumerate(documents) if len(document)]
    for number, pieces in found.items():
        at = 0
        for offset, tokens in pieces:
            assert offset == at
            at += len(tokens)
        assert np.array_equal(np.concatenate([tokens for _, tokens in pieces]), documents[number])
