"""Keeps the documents that fit an expression over their metadata, or bounds of length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.fields.expression import Expression, parse
from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output
from megakor.errors import ConfigError

LENGTH = "tokens"
"""A name that expressions may use for the length of a document, unless a field is called so."""


@dataclass(frozen=True)
class FilterOptions:
    """Which documents are kept: all conditions hold."""

    where: str | None = None
    """An expression; see `megakor.corpus.fields.expression`."""
    min_tokens: int | None = None
    """Shortest document; the end-of-document token counts."""
    max_tokens: int | None = None

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if self.where is None and self.min_tokens is None and self.max_tokens is None:
            raise ConfigError("nothing is filtered: give --where, --min-tokens or --max-tokens.")
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ConfigError(f"--min-tokens {self.min_tokens} is above --max-tokens {self.max_tokens}.")


def filter_documents(inputs: Sequence[Path], output: Output, options: FilterOptions, log: Log) -> Manifest | None:
    """Write the documents of all inputs that fit, in their order; memory holds one batch of documents.

    Raises ConfigError (options, expression), DataError (inputs, nothing left), StorageError (output).
    """
    options.validate()
    expression = parse(options.where) if options.where is not None else None
    shards = open_inputs(inputs, output, log)
    if expression is not None:  # a wrong field is found before any work
        expression.evaluate(with_length(_empty(shards), np.empty(0, np.int64)))
    transformation = Transformation("filter", asdict(options), shards, shards.origin)
    return write_output(transformation, output, lambda _: _kept(shards, options, expression), log)


def with_length(rows: pa.RecordBatch, lengths: np.ndarray) -> pa.RecordBatch:
    """The rows with the length of each document as a further field, where none is called so."""
    if LENGTH in rows.schema.names:
        return rows
    return pa.RecordBatch.from_arrays([*rows.columns, pa.array(lengths)], names=[*rows.schema.names, LENGTH])


def _kept(shards: Shards, options: FilterOptions, expression: Expression | None) -> Iterator[DocumentBatch]:
    for batch in shards.read():
        fits = np.ones(batch.documents, bool)
        if expression is not None:
            fits &= expression.evaluate(with_length(batch.metadata, batch.lengths))
        if options.min_tokens is not None:
            fits &= batch.lengths >= options.min_tokens
        if options.max_tokens is not None:
            fits &= batch.lengths <= options.max_tokens
        yield batch if fits.all() else batch.take(np.flatnonzero(fits))


def _empty(shards: Shards) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], shards.schema)
