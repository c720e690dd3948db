"""A global shuffle of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from megakor.corpus.build.order import document_keys
from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.sorting import MEMORY, Sorter
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output


@dataclass(frozen=True)
class ShuffleOptions:
    """The order and what it may cost."""

    seed: int = 1234
    memory: int = MEMORY
    """Bytes; the output does not depend on it."""


def shuffle_documents(inputs: Sequence[Path], output: Output, options: ShuffleOptions, log: Log) -> Manifest | None:
    """Write all documents of all inputs in a random order, which the inputs' order and the seed decide.

    Memory: about `options.memory`, see `Sorter`; disk: the documents once more while it runs.

    Raises ConfigError (options), DataError (inputs), StorageError (output).
    """
    shards = open_inputs(inputs, output, log)
    origin = shards.origin and replace(shards.origin, shuffle_seed=options.seed)
    transformation = Transformation("shuffle", {"seed": options.seed}, shards, origin)
    return write_output(transformation, output, lambda directory: _shuffled(shards, directory, options), log)


def _shuffled(shards: Shards, directory: Path, options: ShuffleOptions) -> Iterator[DocumentBatch]:
    sorter = Sorter(directory, shards.dtype, options.memory)
    for number in range(len(shards.readers)):
        first = 0
        for batch in shards.read_one(number):
            positions = np.arange(first, first + batch.documents)
            sorter.add(batch, document_keys(number, positions, options.seed))
            first += batch.documents
    yield from sorter.sorted()
