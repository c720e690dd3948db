"""What PREFIX.json says against what the other files hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from megakor.corpus.grouping import ManifestCounts
from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.columns import documents_with
from megakor.corpus.inspection.findings import Findings
from megakor.corpus.manifest import Count, Manifest
from megakor.corpus.metadata import COLUMNS, LANGUAGE, SOURCE, metadata_schema
from megakor.corpus.shard import bin_path, idx_path
from megakor.corpus.shard_writer import shard_file


@dataclass(frozen=True)
class KnownTokenizer:
    """The tokenizer that shards should have been made with."""

    name: str
    sha256: str
    vocabulary_size: int


def check_manifest(index: IndexFile, manifest: Manifest, tokenizer: KnownTokenizer | None, findings: Findings) -> None:
    """Sizes, counts and the tokenizer: everything that needs no reading of documents."""
    path = shard_file(index.prefix, ".json")
    sizes = {
        "documents": (manifest.documents, index.documents),
        "tokens": (manifest.tokens + manifest.padding_tokens, index.bin_bytes // index.dtype.itemsize),
        "bytes of .bin": (manifest.bin_bytes, _size(bin_path(index.prefix))),
        "bytes of .idx": (manifest.idx_bytes, _size(idx_path(index.prefix))),
    }
    for what, (said, found) in sizes.items():
        if said != found:
            findings.add(path, f"says {said:,} {what}, there are {found:,}; it may be of another shard")
    if manifest.dtype != index.dtype.name:
        findings.add(path, f"says tokens of type {manifest.dtype}, the index says {index.dtype.name}")
    if tokenizer is not None:
        _check_tokenizer(path, manifest, tokenizer, findings)


def _check_tokenizer(path: Path, manifest: Manifest, tokenizer: KnownTokenizer, findings: Findings) -> None:
    if manifest.tokenizer_sha256 != tokenizer.sha256:
        findings.add(
            path,
            f"the shard was made with another tokenizer (SHA-256 {manifest.tokenizer_sha256[:16]}..., "
            f"vocabulary {manifest.vocabulary_size:,}) than {tokenizer.name} ({tokenizer.sha256[:16]}..., "
            f"vocabulary {tokenizer.vocabulary_size:,})",
            harmless=True,
        )
    elif manifest.vocabulary_size != tokenizer.vocabulary_size:
        findings.add(
            path,
            f"says a vocabulary of {manifest.vocabulary_size:,}, the tokenizer has {tokenizer.vocabulary_size:,} ids",
        )


def check_counts(index: IndexFile, manifest: Manifest | None, findings: Findings) -> None:
    """Read all metadata; bytes of text, and the counts of each language and source, must be those of the manifest.

    Raises DataError when the metadata cannot be read.
    """
    schema = metadata_schema(index.prefix)
    names = list(schema.names) if schema is not None else []
    if schema is not None and not _usual_types(index.prefix, schema, findings):
        return
    counts = ManifestCounts([name for name in (LANGUAGE, SOURCE) if name in names])
    for lengths, columns in documents_with(index, names):
        counts.add(columns, lengths)
    if manifest is not None:
        _compare(shard_file(index.prefix, ".json"), manifest, counts, findings)


def _usual_types(prefix: Path, schema: pa.Schema, findings: Findings) -> bool:
    wrong = [
        field
        for field in COLUMNS
        if field.name in schema.names
        and not schema.field(field.name).type.equals(field.type)
        and not (pa.types.is_dictionary(field.type) and pa.types.is_string(schema.field(field.name).type))
    ]
    for field in wrong:
        found = schema.field(field.name).type
        findings.add(shard_file(prefix, ".parquet"), f"column {field.name} is of type {found}, not {field.type}")
    return not wrong


def _compare(path: Path, manifest: Manifest, counts: ManifestCounts, findings: Findings) -> None:
    for field, found in counts.all().items():
        for message in _differences(field, manifest.counts.get(field, {}), found):
            findings.add(path, message)
    if counts.text_bytes is not None and manifest.text_bytes not in (None, counts.text_bytes):
        findings.add(path, f"says {manifest.text_bytes:,} bytes of text, the metadata adds up to {counts.text_bytes:,}")


def _differences(field: str, said: dict[str, Count], found: dict[str, Count]) -> Iterator[str]:
    for name, count in said.items():
        if name not in found:
            yield f"says {field} {name!r} has {count.documents:,} documents, the metadata has none"
        elif count != found[name]:
            yield f"says {field} {name!r} has {_words(count)}, there are {_words(found[name])}"


def _words(count: Count) -> str:
    text = "" if count.text_bytes is None else f", {count.text_bytes:,} bytes of text"
    return f"{count.documents:,} documents, {count.tokens:,} tokens{text}"


def _size(path: Path) -> int:
    return path.stat().st_size
