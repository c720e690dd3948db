"""Small shards with metadata, and what is in them, for the tests of operations."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Manifest, write_manifest
from megakor.corpus.metadata import COLUMNS, MetadataWriter
from megakor.corpus.operations.stream import read_documents
from megakor.corpus.shard_writer import ShardWriter

Row = dict[str, Any]
Document = tuple[tuple[int, ...], Row]
UINT16 = np.dtype(np.uint16)


def random_documents(count: int, seed: int = 0, longest: int = 20) -> list[list[int]]:
    """Documents of 1 to `longest` tokens that end with token 0, the end of document."""
    generator = np.random.default_rng(seed)
    return [[*generator.integers(1, 300, generator.integers(0, longest)).tolist(), 0] for _ in range(count)]


def write_shard(
    prefix: Path,
    documents: Sequence[Sequence[int]],
    columns: Mapping[str, Sequence[Any] | pa.Array] | None = None,
    *,
    language: str = "ko",
    tokenizer: str = "a" * 64,
    role: str = "training",
    dtype: np.dtype = UINT16,
    append_eod: bool = True,
    with_manifest: bool = True,
    with_metadata: bool = True,
) -> Path:
    """A shard as a build leaves it, `columns` being the chosen fields."""
    with ShardWriter(prefix, dtype) as shard:
        for document in documents:
            shard.add_document(document)
    if with_metadata:
        table = pa.table({**_own_columns(prefix, documents, language, dtype), **(columns or {})})
        metadata = MetadataWriter(prefix, table.schema)
        metadata.write(table)
        metadata.finish()
        metadata.publish()
    if with_manifest:
        write_manifest(prefix, _manifest(shard, language, tokenizer, role, append_eod))
    return prefix


def read_shard(prefix: Path) -> list[Document]:
    """Every document and its row, in order."""
    found: list[Document] = []
    for batch in read_documents(prefix, batch_tokens=50):
        rows = batch.metadata.to_pylist()
        found += [(tuple(batch.document(number).tolist()), rows[number]) for number in range(batch.documents)]
    return found


def file_bytes(prefix: Path) -> dict[str, bytes]:
    """The files of a shard by suffix."""
    paths = prefix.parent.glob(f"{prefix.name}.*")
    return {path.name[len(prefix.name) :]: path.read_bytes() for path in paths if path.is_file()}


def _own_columns(
    prefix: Path, documents: Sequence[Sequence[int]], language: str, dtype: np.dtype
) -> dict[str, pa.Array]:
    count = len(documents)
    values: dict[str, Any] = {
        "source": [f"{prefix.name}.jsonl"] * count,
        "language": [language] * count,
        "position": [100 * number for number in range(count)],
        "text_bytes": [3 * len(document) for document in documents],
        "crc32": [zlib.crc32(np.array(document, dtype).tobytes()) for document in documents],
    }
    return {column.name: pa.array(values[column.name]).cast(column.type) for column in COLUMNS}


def _manifest(shard: ShardWriter, language: str, tokenizer: str, role: str, append_eod: bool) -> Manifest:
    manifest = Manifest(
        tokenizer_sha256=tokenizer,
        vocabulary_size=300,
        language=language,
        tokens=shard.tokens,
        documents=shard.documents,
        text_bytes=3 * shard.tokens,
        dtype=shard.dtype.name,
        bin_bytes=shard.tokens * shard.dtype.itemsize,
        idx_bytes=shard.index_bytes,
        append_eod=append_eod,
        inputs=[],
        holdout_share=0.0,
        role=role,
    )
    return replace(manifest, shuffle_seed=1234)
