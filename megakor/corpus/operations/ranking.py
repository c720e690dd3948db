"""Documents by a number in their metadata: sorted, or the best of them up to a number of tokens.

The numbers are read first, without the tokens; memory holds about 40 bytes for each document meanwhile. Documents of
one number keep the order of the inputs, and those without a number stand behind all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Manifest
from megakor.corpus.metadata import metadata_schema, read_metadata
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.filter import LENGTH
from megakor.corpus.operations.numbers import numbers_of
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.sorting import MEMORY, Sorter
from megakor.corpus.operations.stream import BATCH_DOCUMENTS, document_lengths
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output
from megakor.corpus.shard import ShardReader
from megakor.errors import ConfigError, DataError


@dataclass(frozen=True)
class SortOptions:
    """By what documents are sorted."""

    field: str
    """A field of the metadata, or tokens: the length of a document."""
    descending: bool = False
    """The largest number first."""
    memory: int = MEMORY
    """Bytes; the output does not depend on it."""


@dataclass(frozen=True)
class BestOptions:
    """Which documents are the best ones, and how much of them is kept."""

    field: str
    """A field of the metadata, or tokens: the length of a document."""
    highest: bool
    """The best documents have the highest numbers (quality); else the lowest (perplexity)."""
    tokens: int
    """At most this many are kept, in whole documents."""

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if self.tokens < 1:
            raise ConfigError(f"--tokens {self.tokens}: at least 1 is needed.")


def sort_documents(inputs: Sequence[Path], output: Output, options: SortOptions, log: Log) -> Manifest | None:
    """Write all documents of all inputs in the order of a number, such as from easy to hard.

    Memory: about `options.memory` and the numbers; disk: the documents once more while it runs.

    Raises ConfigError (options, field), DataError (inputs), StorageError (output).
    """
    shards = open_inputs(inputs, output, log)
    _check_field(shards, options.field)
    origin = shards.origin and replace(shards.origin, shuffle_seed=None)
    described = {"field": options.field, "descending": options.descending}
    transformation = Transformation("sort", described, shards, origin)
    return write_output(transformation, output, lambda directory: _sorted(shards, directory, options, log), log)


def best_documents(inputs: Sequence[Path], output: Output, options: BestOptions, log: Log) -> Manifest | None:
    """Write the best documents of all inputs, up to a number of tokens, in the order of the inputs.

    Memory: the numbers, and one batch of documents.

    Raises ConfigError (options, field), DataError (inputs, nothing left), StorageError (output).
    """
    options.validate()
    shards = open_inputs(inputs, output, log)
    _check_field(shards, options.field)
    transformation = Transformation("best", asdict(options), shards, shards.origin)
    return write_output(transformation, output, lambda _: _best(shards, options, log), log)


def _check_field(shards: Shards, field: str) -> None:
    """A wrong field is found before any work. Raises ConfigError."""
    if not _is_length(shards, field):
        numbers_of(pa.RecordBatch.from_pylist([], shards.schema), field)


def _is_length(shards: Shards, field: str) -> bool:
    return field == LENGTH and LENGTH not in shards.schema.names


def _sorted(shards: Shards, directory: Path, options: SortOptions, log: Log) -> Iterator[DocumentBatch]:
    numbers = _numbers(shards, options.field)
    _say_unknown(numbers, "stand at the end", options.field, log)
    order = np.argsort(-numbers if options.descending else numbers, kind="stable")
    places = np.empty(len(order), np.uint64)
    # Spread over all keys, because the sorter works through them in ranges of equal width.
    places[order] = np.arange(len(order), dtype=np.uint64) * np.uint64(((1 << 64) - 1) // max(1, len(order)))
    del numbers, order
    sorter = Sorter(directory, shards.dtype, options.memory)
    first = 0
    for batch in shards.read():
        sorter.add(batch, places[first : first + batch.documents])
        first += batch.documents
    yield from sorter.sorted()


def _best(shards: Shards, options: BestOptions, log: Log) -> Iterator[DocumentBatch]:
    numbers = _numbers(shards, options.field)
    _say_unknown(numbers, "are left out", options.field, log)
    order = np.argsort(-numbers if options.highest else numbers, kind="stable")
    order = order[: len(numbers) - int(np.isnan(numbers).sum())]
    ends = np.cumsum(_lengths(shards)[order])
    count = int(np.searchsorted(ends, options.tokens, side="right"))
    if count:
        log(f"{options.field} of the last one that is kept: {numbers[order[count - 1]]:g}")
    if len(ends) and ends[-1] < options.tokens:
        log(f"only {ends[-1]:,} tokens have a number in {options.field}; all of them are kept")
    kept = np.zeros(len(numbers), bool)
    kept[order[:count]] = True
    del numbers, order, ends
    first = 0
    for batch in shards.read():
        yield batch.take(np.flatnonzero(kept[first : first + batch.documents]))
        first += batch.documents


def _say_unknown(numbers: np.ndarray, what: str, field: str, log: Log) -> None:
    unknown = int(np.isnan(numbers).sum())
    if unknown:
        log(f"{unknown:,} of {len(numbers):,} documents have no number in {field}; they {what}")


def _numbers(shards: Shards, field: str) -> np.ndarray:
    """The number of every document of all shards, float64 (documents,), NaN where there is none. Raises DataError."""
    if _is_length(shards, field):
        return _lengths(shards).astype(np.float64)
    return np.concatenate([_numbers_of_shard(reader, field) for reader in shards.readers])


def _numbers_of_shard(reader: ShardReader, field: str) -> np.ndarray:
    schema = metadata_schema(reader.prefix)
    if schema is None or field not in schema.names:
        return np.full(reader.documents, np.nan)
    batches = read_metadata(reader.prefix, BATCH_DOCUMENTS, [field]) or ()
    numbers = np.concatenate([np.empty(0), *(numbers_of(batch, field) for batch in batches)])
    if len(numbers) != reader.documents:
        raise DataError(
            f"{reader.prefix}.parquet has {len(numbers):,} rows and the shard {reader.documents:,} documents: the "
            "metadata belong to another shard. Copy or build the shard again."
        )
    return numbers


def _lengths(shards: Shards) -> np.ndarray:
    """Tokens of every document of all shards, int64 (documents,). Raises DataError."""
    return np.concatenate([lengths for reader in shards.readers for lengths in document_lengths(reader)])
