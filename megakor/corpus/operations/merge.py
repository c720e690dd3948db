"""Several shards into one, end to end or interleaved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.shards import Log, Shards
from megakor.corpus.operations.stream import BATCH_DOCUMENTS, BATCH_TOKENS, cut_by_tokens, one_batch
from megakor.corpus.operations.transform import Transformation, open_inputs, write_output
from megakor.corpus.operations.workplace import Output


@dataclass(frozen=True)
class MergeOptions:
    """How the shards stand in the output."""

    interleave: bool = False
    """Whether the documents of each shard are spread evenly over the output, in their order; else shards follow each
    other."""


def merge_shards(inputs: Sequence[Path], output: Output, options: MergeOptions, log: Log) -> Manifest | None:
    """Write all documents of shards of one tokenizer; memory holds one batch of documents of each shard.

    Raises ConfigError (options), DataError (inputs that do not fit together), StorageError (output).
    """
    shards = open_inputs(inputs, output, log)
    origin = shards.origin
    if origin is not None and len(inputs) > 1:
        origin = replace(origin, shuffle_seed=None)
    transformation = Transformation("merge", {"interleave": options.interleave}, shards, origin)
    documents = _interleaved if options.interleave else Shards.read
    return write_output(transformation, output, lambda _: documents(shards), log)


def joined(batches: Sequence[DocumentBatch]) -> DocumentBatch:
    """Batches with the same columns, end to end."""
    if len(batches) == 1:
        return batches[0]
    tokens, lengths = (np.concatenate([getattr(batch, of) for batch in batches]) for of in ("tokens", "lengths"))
    return DocumentBatch(tokens, lengths, one_batch(pa.Table.from_batches([batch.metadata for batch in batches])))


def _interleaved(shards: Shards) -> Iterator[DocumentBatch]:
    """Document i of n of a shard stands at (i + 1/2) / n of the output, of two at the same place the earlier shard's.

    The output is cut into windows of about a batch; to each of them every shard gives the documents that belong there.
    """
    count = len(shards.readers)
    cursors = [_Cursor(shards.read_one(number, max(1, BATCH_TOKENS // count))) for number in range(count)]
    documents = np.array([reader.documents for reader in shards.readers])
    windows = max(1, -(-shards.tokens // BATCH_TOKENS), -(-shards.documents // BATCH_DOCUMENTS))
    for window in range(windows):
        firsts, lasts = (-((windows - 2 * number * documents) // (2 * windows)) for number in (window, window + 1))
        spans = [np.arange(first, last) for first, last in zip(firsts, lasts, strict=True)]
        if not any(len(span) for span in spans):
            continue
        places = np.concatenate([(span + 0.5) / max(1, n) for span, n in zip(spans, documents, strict=True)])
        taken = [cursor.take(len(span)) for cursor, span in zip(cursors, spans, strict=True)]
        batch = joined([part for part in taken if part is not None])
        order = np.argsort(places, kind="stable")
        for first, last in cut_by_tokens(batch.lengths[order], BATCH_TOKENS):
            yield batch.take(order[first:last])


class _Cursor:
    """The documents of a shard, taken in any portions."""

    def __init__(self, batches: Iterator[DocumentBatch]) -> None:
        self._batches = batches
        self._rest: DocumentBatch | None = None

    def take(self, count: int) -> DocumentBatch | None:
        """The next documents; None where none is asked for."""
        parts = []
        while count:
            batch = self._rest or next(self._batches)
            last = min(count, batch.documents)
            parts.append(batch if last == batch.documents else batch.take(np.arange(last)))
            self._rest = None if last == batch.documents else batch.take(np.arange(last, batch.documents))
            count -= last
        return joined(parts) if parts else None
