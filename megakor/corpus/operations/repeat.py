"""Repeats documents by a weight that a field of their metadata decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.build.order import document_keys
from megakor.corpus.fields.draws import draws
from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.numbers import numbers_of
from megakor.corpus.operations.rehydration import FIELD, Weights, weights_of
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.sorting import MEMORY, Sorter
from megakor.corpus.operations.stream import BATCH_TOKENS, cut_by_tokens
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output

COPIES = 1 << 18
"""Copies that are thought of at a time."""


@dataclass(frozen=True)
class RepeatOptions:
    """How often each document stands in the output, and where."""

    weights: Weights
    """{value from which: repetitions}. A fraction is drawn for each document: 2.5 is 2 or 3 times, 0.1 mostly none."""
    field: str | None = FIELD
    """Of numbers; a document without a value, or with one below all of the table, stands there once. None: all
    documents have the value 0."""
    spread: bool = True
    """Whether the repeats are spread over the whole output, which is shuffled; else they stand one after another, where
    the document stood."""
    seed: int = 1234
    memory: int = MEMORY
    """Bytes, when repeats are spread; the output does not depend on it."""


def repeat_documents(inputs: Sequence[Path], output: Output, options: RepeatOptions, log: Log) -> Manifest | None:
    """Write every document of all inputs as often as its weight says.

    Memory: about `options.memory` where repeats are spread, see `Sorter`, and the output once more on the disk
    meanwhile; else one batch of documents.

    Raises ConfigError (options, field), DataError (inputs, nothing left), StorageError (output).
    """
    shards = open_inputs(inputs, output, log)
    if options.field is not None:
        numbers_of(pa.RecordBatch.from_pylist([], shards.schema), options.field)
    described = {
        "field": options.field,
        "weights": {f"{value:g}": weight for value, weight in sorted(options.weights.items())},
        "spread": options.spread,
        "seed": options.seed,
    }
    origin = shards.origin
    if origin is not None:
        seed = options.seed if options.spread else origin.shuffle_seed
        origin = replace(origin, shuffle_seed=seed, text_bytes=None)
    transformation = Transformation("repeat", described, shards, origin)
    return write_output(transformation, output, lambda directory: _repeated(shards, directory, options), log)


def _repeated(shards: Shards, directory: Path, options: RepeatOptions) -> Iterator[DocumentBatch]:
    if not options.spread:
        for batch, _ in _copies(shards, options):
            yield batch
        return
    sorter = Sorter(directory, shards.dtype, options.memory)
    for batch, keys in _copies(shards, options):
        sorter.add(batch, keys)
    yield from sorter.sorted()


def _copies(shards: Shards, options: RepeatOptions) -> Iterator[tuple[DocumentBatch, np.ndarray]]:
    """Batches in which every document stands as often as it should, and a key for each copy, uint64."""
    first = 0
    for batch in shards.read():
        positions = np.arange(first, first + batch.documents)
        first += batch.documents
        times = _times(batch, positions, options)
        for low, high in cut_by_tokens(times, COPIES):
            numbers = np.repeat(np.arange(low, high), times[low:high])
            keys = _keys(positions[numbers], times[low:high], options.seed)
            for start, stop in cut_by_tokens(batch.lengths[numbers], BATCH_TOKENS):
                yield batch.take(numbers[start:stop]), keys[start:stop]


def _keys(positions: np.ndarray, times: np.ndarray, seed: int) -> np.ndarray:
    """A key for each copy, uint64 (copies,): copies of a document stand next to each other in `positions`."""
    copies = np.arange(len(positions)) - np.repeat(np.cumsum(times) - times, times)
    keys = np.empty(len(positions), np.uint64)
    for copy in range(int(times.max(initial=0))):
        chosen = copies == copy
        keys[chosen] = document_keys(copy, positions[chosen], seed)
    return keys


def _times(batch: DocumentBatch, positions: np.ndarray, options: RepeatOptions) -> np.ndarray:
    """How often each document stands in the output, int64 (documents,)."""
    values = np.zeros(batch.documents) if options.field is None else numbers_of(batch.metadata, options.field)
    weights = weights_of(values, options.weights)
    whole = np.floor(weights)
    more = draws(positions, options.seed, "repeat") < weights - whole
    return whole.astype(np.int64) + more
