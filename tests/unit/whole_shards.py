"""Whole shards, all four files of them, for the tests that look at shards and damage them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Count, InputRecord, Manifest, write_manifest
from megakor.corpus.metadata import COLUMNS, MetadataWriter
from megakor.corpus.shard_writer import ShardWriter, shard_file
from megakor.storage import hash_of_pieces, hash_pieces

VOCABULARY = 400


def random_documents(seed: int, count: int, longest: int = 40) -> list[list[int]]:
    """Documents of random ids, some of them empty."""
    numbers = np.random.default_rng(seed)
    return [numbers.integers(0, VOCABULARY, numbers.integers(0, longest + 1)).tolist() for _ in range(count)]


def write_whole_shard(
    prefix: Path, documents: Sequence[Sequence[int]], tokenizer_sha256: str = "ab" * 32, dtype: str = "uint16"
) -> Path:
    """Tokens, index, metadata with checksums, and a manifest: every third document is English, the others Korean."""
    with ShardWriter(prefix, np.dtype(dtype)) as writer:
        for document in documents:
            writer.add_document(list(document))
    languages = ["ko" if number % 3 else "en" for number in range(len(documents))]
    rows = pa.table(
        {
            "source": pa.array([f"part-{number % 2}.jsonl" for number in range(len(documents))], pa.string()),
            "language": pa.array(languages, pa.string()),
            "position": pa.array(range(len(documents)), pa.int64()),
            "text_bytes": pa.array([3 * len(document) for document in documents], pa.int64()),
            "crc32": pa.array([zlib.crc32(np.array(d, dtype).tobytes()) for d in documents], pa.uint32()),
            "quality": pa.array([number % 5 for number in range(len(documents))], pa.int8()),
        }
    )
    metadata = MetadataWriter(prefix, pa.schema([*COLUMNS, ("quality", pa.int8())]))
    metadata.write(rows.cast(pa.schema([*COLUMNS, ("quality", pa.int8())])))
    metadata.finish()
    metadata.publish()
    write_manifest(prefix, _manifest(prefix, writer, documents, languages, tokenizer_sha256))
    return prefix


def _manifest(
    prefix: Path, writer: ShardWriter, documents: Sequence[Sequence[int]], languages: list[str], tokenizer: str
) -> Manifest:
    counts = {}
    for language in sorted(set(languages)):
        lengths = [len(d) for d, of in zip(documents, languages, strict=True) if of == language]
        counts[language] = Count(len(lengths), sum(lengths), 3 * sum(lengths))
    return Manifest(
        tokenizer_sha256=tokenizer,
        vocabulary_size=VOCABULARY,
        language="",
        tokens=writer.tokens,
        documents=writer.documents,
        text_bytes=3 * writer.tokens,
        dtype=writer.dtype.name,
        bin_bytes=writer.tokens * writer.dtype.itemsize,
        idx_bytes=writer.index_bytes,
        append_eod=False,
        inputs=[InputRecord("part-0.jsonl", 123, "cd" * 32)],
        holdout_share=0.01,
        role="training",
        counts={"language": counts},
        checksums={name: hash_of(shard_file(prefix, f".{name}")) for name in ("bin", "idx", "parquet")},
    )


def hash_of(path: Path) -> str:
    """As manifests have it."""
    return hash_of_pieces(hash_pieces(path, 0, path.stat().st_size))
