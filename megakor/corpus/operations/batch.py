"""A batch of documents: token ids end to end, their lengths, and one row of metadata for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class DocumentBatch:
    """Documents in order.

    tokens: (tokens,) in the dtype of the shard. lengths: int64 (documents,). metadata: one row a document; a table
    without columns still has their number of rows.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    metadata: pa.RecordBatch

    @property
    def documents(self) -> int:
        """How many there are."""
        return len(self.lengths)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each document begins in `tokens`, and their end: int64 (documents + 1,)."""
        return np.concatenate(([0], np.cumsum(self.lengths, dtype=np.int64)))

    def document(self, number: int) -> np.ndarray:
        """Token ids of one document."""
        return self.tokens[self.starts[number] : self.starts[number + 1]]

    def take(self, numbers: np.ndarray) -> DocumentBatch:
        """The documents with these numbers, int64, in this order; a number may come several times."""
        lengths = self.lengths[numbers]
        tokens = self.tokens[spans(self.starts[numbers], lengths)]
        return DocumentBatch(tokens, lengths, self.metadata.take(pa.array(numbers, pa.int64())))


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Indices of several ranges end to end: start, start + 1, ... for each; int64 (sum of lengths,)."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
