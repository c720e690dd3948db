"""The shards that an operation reads: opened, proved to fit together, and described by one manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import common_schema, conformed
from megakor.corpus.manifest import Manifest, read_manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.stream import BATCH_TOKENS, documents_schema, one_batch, read_documents
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError, DataError

Log = Callable[[str], None]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Shards:
    """Shards of one tokenizer and dtype, in order."""

    readers: tuple[ShardReader, ...]
    schema: pa.Schema
    """Columns of all of them: a field that a shard lacks is null in its documents."""
    origin: Manifest | None
    """What the manifests say together; None where no shard has one. Tokens and documents are sums."""
    manifests: tuple[Manifest | None, ...]
    """Of each shard, None where there is none."""

    @property
    def dtype(self) -> np.dtype:
        """Of the token ids."""
        return self.readers[0].dtype

    @property
    def documents(self) -> int:
        """In all shards."""
        return sum(reader.documents for reader in self.readers)

    @property
    def tokens(self) -> int:
        """In all shards."""
        return sum(reader.tokens for reader in self.readers)

    def read(self, batch_tokens: int = BATCH_TOKENS) -> Iterator[DocumentBatch]:
        """All documents of all shards, in order, with the columns of `schema`; memory holds one batch."""
        for number in range(len(self.readers)):
            yield from self.read_one(number, batch_tokens)

    def read_one(self, number: int, batch_tokens: int = BATCH_TOKENS) -> Iterator[DocumentBatch]:
        """The documents of one shard, with the columns of `schema`."""
        for batch in read_documents(self.readers[number].prefix, batch_tokens):
            rows = conformed(pa.Table.from_batches([batch.metadata]), self.schema)
            yield DocumentBatch(batch.tokens, batch.lengths, one_batch(rows))

    def end_of_document(self) -> int | None:
        """The token that ends the documents, as far as a manifest says that there is one. Raises DataError."""
        for number, manifest in enumerate(self.manifests):
            if manifest is not None and manifest.append_eod:
                for batch in self.read_one(number, batch_tokens=1):
                    if len(batch.tokens):
                        return int(batch.tokens[-1])
        return None

    def inputs(self) -> list[dict[str, Any]]:
        """For the history of the output: what each shard was, and what made it where there are several."""
        described = []
        for reader, manifest in zip(self.readers, self.manifests, strict=True):
            history = manifest.operations if manifest else []
            entry = {
                "prefix": str(reader.prefix),
                "fingerprint": reader.fingerprint(),
                "documents": reader.documents,
                "tokens": reader.tokens,
            }
            described.append({**entry, "operations": history} if history and len(self.readers) > 1 else entry)
        return described


def open_shards(prefixes: Sequence[Path], log: Log) -> Shards:
    """Open the inputs of an operation. `log` gets a line for each thing that is not known.

    Raises:
        ConfigError: no shard, or one twice.
        DataError: a shard is missing or damaged, is cut into rows already, or does not fit the others.
    """
    if not prefixes:
        raise ConfigError("no shard is given; name the prefix of at least one (its path without .bin and .idx).")
    twice = {str(prefix) for prefix in prefixes if list(prefixes).count(prefix) > 1}
    if twice:
        raise ConfigError(
            f"{', '.join(sorted(twice))}: given more than once; `megakor corpus repeat` repeats documents."
        )
    for prefix in prefixes:
        if shard_file(prefix, ".rows.arrow").exists():
            raise DataError(
                f"{prefix}: its documents are packed into rows already; work on the shard that it was made from and "
                "regroup the result."
            )
    readers = tuple(ShardReader(prefix) for prefix in prefixes)
    manifests = [read_manifest(prefix) for prefix in prefixes]
    _check_together(readers, manifests)
    _say_unknown(readers, manifests, log)
    return Shards(
        readers,
        _common_columns(prefixes, log),
        _together([manifest for manifest in manifests if manifest]),
        tuple(manifests),
    )


def _check_together(readers: Sequence[ShardReader], manifests: Sequence[Manifest | None]) -> None:
    first = readers[0]
    for reader in readers[1:]:
        if reader.dtype != first.dtype:
            raise DataError(
                f"{first.prefix} holds {first.dtype} tokens and {reader.prefix} {reader.dtype}: they were made with "
                "different tokenizers. Build them again with the same one."
            )
    known = [(reader.prefix, manifest) for reader, manifest in zip(readers, manifests, strict=True) if manifest]
    for prefix, manifest in known[1:]:
        place, one = known[0]
        if manifest.tokenizer_sha256 != one.tokenizer_sha256:
            raise DataError(
                f"{place} was made with tokenizer {one.tokenizer_sha256[:12]} and {prefix} with "
                f"{manifest.tokenizer_sha256[:12]}. Build them again with the same one."
            )
        if manifest.role != one.role:
            raise DataError(f"{place} is a {one.role} shard and {prefix} a {manifest.role} shard; keep them apart.")
        if manifest.append_eod != one.append_eod:
            ended, bare = (place, prefix) if one.append_eod else (prefix, place)
            raise DataError(
                f"the documents of {ended} end with the end-of-document token and those of {bare} do not. Build the "
                "latter again with --append-eod."
            )


def _say_unknown(readers: Sequence[ShardReader], manifests: Sequence[Manifest | None], log: Log) -> None:
    anything = any(manifests)
    for reader, manifest in zip(readers, manifests, strict=True):
        if manifest is None:
            taken = "it is taken to be that of the others" if anything else "so the output has no manifest either"
            log(f"{reader.prefix} has no manifest: its tokenizer is not known; {taken}")
        if not shard_file(reader.prefix, ".parquet").exists():
            log(f"{reader.prefix} has no metadata: its sources and bytes of text are not known")


def _common_columns(prefixes: Sequence[Path], log: Log) -> pa.Schema:
    """Columns for all documents; says which fields become text because their types differ."""
    schemas = [documents_schema(prefix) for prefix in prefixes]
    if len(schemas) == 1:
        return schemas[0]
    common = common_schema(schemas)
    for column in common:
        kinds = {str(schema.field(column.name).type) for schema in schemas if column.name in schema.names}
        if pa.types.is_string(column.type) and kinds - {"string", "null"}:
            log(f"{column.name} is of different types ({', '.join(sorted(kinds))}) and becomes text")
    return common


def _together(manifests: list[Manifest]) -> Manifest | None:
    """One manifest for all: sums where they add up, what is common elsewhere."""
    if len(manifests) < 2:
        return manifests[0] if manifests else None
    first = manifests[0]
    text_bytes = [manifest.text_bytes for manifest in manifests]
    reasons = {reason for manifest in manifests for reason in manifest.skipped}
    options = {
        name: value
        for name, value in first.options.items()
        if all(manifest.options.get(name) == value for manifest in manifests)
    }
    return replace(
        first,
        language=_common([manifest.language for manifest in manifests], ""),
        tokens=sum(manifest.tokens for manifest in manifests),
        documents=sum(manifest.documents for manifest in manifests),
        text_bytes=None if None in text_bytes else sum(known for known in text_bytes if known),
        inputs=list(dict.fromkeys(record for manifest in manifests for record in manifest.inputs)),
        holdout_share=max(manifest.holdout_share for manifest in manifests),
        json_key=_common([manifest.json_key for manifest in manifests], ""),
        shuffle_seed=_common([manifest.shuffle_seed for manifest in manifests], None),
        skipped={reason: sum(manifest.skipped.get(reason, 0) for manifest in manifests) for reason in sorted(reasons)},
        holdout=_common([manifest.holdout for manifest in manifests], None),
        options=options,
        padding_tokens=0,
    )


def _common(values: Sequence[_Value], otherwise: _Value) -> _Value:
    return values[0] if all(value == values[0] for value in values) else otherwise
