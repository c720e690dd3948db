"""Rows as one long row of segments, the form in which Transformer Engine keeps attention inside documents.

B rows of S tokens become one row. Under context parallelism every segment is padded to a multiple of 2 x ranks, the
padding has no loss, and each rank takes chunk r and its mirror image of every segment: what megatron-core's RoPE and
Transformer Engine's attention expect. Padding stands at the end of its segment, where causal attention keeps it from
being seen.

Shapes: P tokens of the packed row, N this rank's tokens of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megakor.config.check_device import FP8_MULTIPLE
from megakor.data.rows import RowBatch

PADDING = -1


@dataclass(frozen=True)
class Packing:
    """Where each token of the packed row comes from, and where its segments end."""

    origin_P: np.ndarray
    """int64: the index into the flattened rows, or PADDING."""
    boundaries: np.ndarray
    """int32 [segments + 1]: cumulative segment lengths, padding included (`cu_seqlens`)."""

    @property
    def longest(self) -> int:
        """Tokens of the longest segment, padding included."""
        return int(np.diff(self.boundaries).max())

    def share_of_rank(self, rank: int, size: int) -> np.ndarray:
        """int64 [N]: positions in the packed row that a context-parallel rank holds."""
        if size == 1:
            return np.arange(len(self.origin_P))
        parts = []
        for start, stop in zip(self.boundaries[:-1], self.boundaries[1:], strict=True):
            chunk = (stop - start) // (2 * size)
            mirror = 2 * size - 1 - rank
            parts.append(np.arange(start + rank * chunk, start + (rank + 1) * chunk))
            parts.append(np.arange(start + mirror * chunk, start + (mirror + 1) * chunk))
        return np.concatenate(parts)


def packings(batches: Sequence[RowBatch], mask: str, context_size: int, tensor_size: int) -> list[Packing]:
    """Pack micro-batches to one common length, a multiple of 2 x context x tensor ranks; a last segment of padding
    fills up. Where nothing is padded, the config check has seen to it that FP8 can multiply the rows."""
    unit = 2 * context_size if context_size > 1 else 1
    packed = [_pack(_segment_starts(batch, mask), batch.tokens_BS.size, unit) for batch in batches]
    multiple = unit * tensor_size * (FP8_MULTIPLE if context_size > 1 else 1)
    length = max(-(-len(packing.origin_P) // multiple) * multiple for packing in packed)
    return [_fill_up(packing, length) for packing in packed]


def _segment_starts(batch: RowBatch, mask: str) -> np.ndarray:
    """Indices into the flattened rows at which a segment starts: every row does, and unless there is no mask
    every document or group."""
    starts_BS = np.zeros(batch.segments_BS.shape, dtype=bool)
    starts_BS[:, 0] = True
    if mask != "none":
        starts_BS[:, 1:] = batch.segments_BS[:, 1:] != batch.segments_BS[:, :-1]
    return np.flatnonzero(starts_BS.reshape(-1))


def _pack(starts: np.ndarray, total: int, unit: int) -> Packing:
    lengths = np.diff(np.append(starts, total))
    padded = -(-lengths // unit) * unit
    boundaries = np.concatenate([[0], np.cumsum(padded)])
    origin_P = np.full(boundaries[-1], PADDING, dtype=np.int64)
    shift = np.repeat(boundaries[:-1] - starts, lengths)
    origin_P[np.arange(total) + shift] = np.arange(total)
    return Packing(origin_P, boundaries.astype(np.int32))


def _fill_up(packing: Packing, length: int) -> Packing:
    missing = length - len(packing.origin_P)
    if missing == 0:
        return packing
    origin_P = np.concatenate([packing.origin_P, np.full(missing, PADDING, dtype=np.int64)])
    return Packing(origin_P, np.append(packing.boundaries, length).astype(np.int32))
