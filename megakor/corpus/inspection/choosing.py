"""Which documents of a shard to look at: by number, by chance, by a condition over their metadata."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.fields.expression import Expression
from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.columns import documents_with
from megakor.corpus.metadata import metadata_schema
from megakor.corpus.operations.filter import with_length
from megakor.errors import ConfigError


def numbered(prefix: Path, documents: int, wanted: Sequence[int]) -> list[int]:
    """The numbers as given; negative ones count from the end. Raises ConfigError for one that does not exist."""
    for number in wanted:
        if not -documents <= number < documents:
            last = f"0 to {documents - 1:,}" if documents else "none"
            raise ConfigError(f"--document {number}: {prefix} has documents {last}.")
    return [number % documents for number in wanted]


def drawn(documents: int, count: int, seed: int) -> list[int]:
    """`count` different documents (or all), by a seed, in order."""
    return sorted(random.Random(seed).sample(range(documents), min(count, documents)))


def matching(prefix: Path, condition: Expression, count: int, seed: int | None) -> list[int]:
    """Documents whose metadata and length (`tokens`) fit: the first `count`, or that many drawn by a seed; in order.

    Raises ConfigError when the shard has no metadata or lacks a field, DataError when it is damaged.
    """
    schema = metadata_schema(prefix)
    if schema is None:
        raise ConfigError(f"--where: {prefix} has no metadata (PREFIX.parquet) to choose by.")
    # A wrong field is told with the names of all that there are, not of those that are read.
    condition.evaluate(with_length(pa.RecordBatch.from_pylist([], schema.remove_metadata()), np.empty(0, np.int64)))
    generator = np.random.default_rng(seed)
    numbers, ranks = np.empty(0, dtype=np.int64), np.empty(0)
    first = 0
    for lengths, columns in documents_with(IndexFile.open(prefix), [*condition.fields, *schema.names[:1]]):
        rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        found = first + np.flatnonzero(condition.evaluate(with_length(rows, lengths)))
        first += len(lengths)
        numbers = np.concatenate((numbers, found))
        ranks = np.concatenate((ranks, np.zeros(len(found)) if seed is None else generator.random(len(found))))
        kept = np.sort(np.argsort(ranks, kind="stable")[:count])
        numbers, ranks = numbers[kept], ranks[kept]
        if seed is None and len(numbers) == count:
            break
    return [int(number) for number in numbers]
