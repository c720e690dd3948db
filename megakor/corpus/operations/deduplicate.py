"""Exact duplicate removal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.duplicates import Duplicates
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.sorting import MEMORY
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output


@dataclass(frozen=True)
class DeduplicateOptions:
    """What the removal may cost."""

    memory: int = MEMORY
    """Bytes; the output does not depend on it."""


def deduplicate_documents(
    inputs: Sequence[Path], output: Output, options: DeduplicateOptions, log: Log
) -> Manifest | None:
    """Write the first of all documents with the same tokens, over all inputs in their order.

    Documents are compared by a 128-bit hash of their tokens, without the end-of-document token where a manifest says
    that there is one. The inputs are read twice. Memory: see `Duplicates`; disk: 24 bytes a document while it runs.

    Raises ConfigError (options), DataError (inputs), StorageError (output).
    """
    shards = open_inputs(inputs, output, log)
    transformation = Transformation("deduplicate", {}, shards, shards.origin)
    return write_output(transformation, output, lambda directory: _first_ones(shards, directory, options, log), log)


def _first_ones(shards: Shards, directory: Path, options: DeduplicateOptions, log: Log) -> Iterator[DocumentBatch]:
    duplicates = Duplicates(directory, shards.documents, options.memory, shards.end_of_document())
    for batch in shards.read():
        duplicates.add(batch)
    found = duplicates.find()
    log(f"{found:,} of {shards.documents:,} documents are equal to an earlier one")
    first = 0
    for batch in shards.read():
        repeated = duplicates.among(first, batch.documents)
        first += batch.documents
        yield batch.take(np.flatnonzero(~repeated)) if repeated.any() else batch
