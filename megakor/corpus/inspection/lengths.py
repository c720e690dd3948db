"""Lengths of documents, counted exactly in memory that does not grow with their number."""

from __future__ import annotations

import numpy as np

_COUNTED = 1 << 20
"""Lengths below this have a counter each; of longer documents there cannot be many, and each length is kept."""


class LengthCounts:
    """How many documents have each length in tokens."""

    def __init__(self) -> None:
        self._short = np.zeros(_COUNTED, dtype=np.int64)
        self._long: dict[int, int] = {}

    def add(self, lengths: np.ndarray) -> None:
        """Count documents by their lengths, int64 (documents,)."""
        short = lengths[lengths < _COUNTED]
        self._short += np.bincount(short, minlength=_COUNTED)
        for length, count in zip(*np.unique(lengths[lengths >= _COUNTED], return_counts=True), strict=True):
            self._long[int(length)] = self._long.get(int(length), 0) + int(count)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """The lengths that occur, ascending, and how many documents have each: int64 (lengths,) twice."""
        short = np.flatnonzero(self._short)
        long = sorted(self._long)
        counts = np.concatenate((self._short[short], np.array([self._long[length] for length in long], dtype=np.int64)))
        return np.concatenate((short, np.array(long, dtype=np.int64))), counts

    def quantiles(self, shares: list[float]) -> list[int]:
        """For each share the shortest length that so many documents do not exceed; empty without documents."""
        lengths, counts = self.table()
        if not len(lengths):
            return []
        below = np.cumsum(counts)
        wanted = np.maximum(1, np.ceil(np.array(shares) * int(below[-1]))).astype(np.int64)
        return [int(length) for length in lengths[np.searchsorted(below, wanted)]]


def histogram(lengths: np.ndarray, counts: np.ndarray, bins: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of documents and of tokens in ranges of length that are equally wide on a logarithmic scale.

    Returns the edges in tokens (ranges + 1,), and for each range the share of documents and of tokens, both in 0..1.
    Empty documents are left out.
    """
    lengths, counts = lengths[lengths > 0], counts[lengths > 0]
    if not len(lengths):
        return np.array([1.0, 2.0]), np.zeros(1), np.zeros(1)
    edges = np.unique(np.geomspace(lengths[0], lengths[-1] + 1, bins + 1).round())
    documents, _ = np.histogram(lengths, edges, weights=counts)
    tokens, _ = np.histogram(lengths, edges, weights=counts * lengths)
    return edges, documents / documents.sum(), tokens / tokens.sum()
