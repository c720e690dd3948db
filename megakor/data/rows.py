"""Reads rows from shards into arrays: tokens, labels, loss mask, segments and positions.

Shapes: B rows, S tokens in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from megakor.data.piece_text import read_piece
from megakor.data.source import Piece
from megakor.errors import ConfigError

PADDING_SEGMENT = -1
_Row = TypeVar("_Row")
_RowIn = TypeVar("_RowIn", contravariant=True)


class Locator(Protocol[_RowIn]):
    """Knows where the tokens of its rows are: `Sources` for training, `ValidationSet` for evaluation."""

    def locate(self, row: _RowIn, /) -> Sequence[Piece]:
        """The pieces of a row, in reading order."""


@dataclass(frozen=True)
class RowBatch:
    """Rows of S tokens.

    `labels` is the token that follows in the text. `loss_mask` is 1 where it counts, else 0. `segments` numbers from 0
    in each row what may attend to each other, -1 is padding; `positions` restart with each segment.
    """

    tokens_BS: np.ndarray
    labels_BS: np.ndarray
    loss_mask_BS: np.ndarray
    segments_BS: np.ndarray
    positions_BS: np.ndarray


def read_rows(
    sources: Locator[_Row],
    rows: Sequence[_Row | None],
    sequence_length: int,
    mask: str = "document",
    vocabulary_size: int | None = None,
    unlearnt: Sequence[int] = (),
) -> RowBatch:
    """Read rows into arrays; None stands for a row of padding.

    Args:
        sources: where the rows come from.
        mask: which segments a row has. A label counts where it is in its token's own segment: nothing says what the
            next one begins with. "document": a segment ends with its document; in rows made by `megakor corpus
            regroup`, where their row file says: a cross-lingual group is one segment. "isolated": a segment ends with
            its document, whatever the row file says. "none": a row is one segment.
        vocabulary_size: token ids at or above it are refused.
        unlearnt: labels with these ids do not count.

    Raises:
        DataError: a token id does not fit the vocabulary, or a file is damaged.
    """
    batch = _padding(len(rows), sequence_length)
    for number, row in enumerate(rows):
        start, segment = 0, 0
        for piece in sources.locate(row) if row is not None else ():
            text = read_piece(piece, mask, vocabulary_size)
            stop = start + len(text.tokens)
            batch.tokens_BS[number, start:stop] = text.tokens
            batch.labels_BS[number, start:stop] = text.labels
            batch.loss_mask_BS[number, start:stop] = text.counts
            batch.segments_BS[number, start:stop] = segment + text.segments
            start, segment = stop, segment + int(text.segments[-1]) + 1
        if mask == "none":
            batch.segments_BS[number, :start] = 0
        batch.positions_BS[number] = _positions(batch.segments_BS[number])
    if unlearnt:
        batch.loss_mask_BS[np.isin(batch.labels_BS, unlearnt)] = 0.0
    return batch


def rows_of_rank(
    rows: Sequence[_Row], data_rank: int, data_size: int, micro_batch_size: int
) -> list[list[_Row | None]]:
    """The micro-batches of one data-parallel rank: a contiguous slice of the global batch.

    A global batch that cannot be divided is filled up at its end with rows of padding (None).
    """
    if not 0 <= data_rank < data_size or micro_batch_size < 1:
        raise ConfigError(
            f"rank {data_rank} of {data_size} with micro-batches of {micro_batch_size} rows is impossible."
        )
    micro_batches = -(-len(rows) // (data_size * micro_batch_size))
    per_rank = micro_batches * micro_batch_size
    start = data_rank * per_rank
    mine: list[_Row | None] = list(rows[start : start + per_rank])
    mine += [None] * (per_rank - len(mine))
    return [mine[first : first + micro_batch_size] for first in range(0, per_rank, micro_batch_size)]


def _padding(rows: int, length: int) -> RowBatch:
    shape = (rows, length)
    return RowBatch(
        tokens_BS=np.zeros(shape, np.int64),
        labels_BS=np.zeros(shape, np.int64),
        loss_mask_BS=np.zeros(shape, np.float32),
        segments_BS=np.full(shape, PADDING_SEGMENT, np.int32),
        positions_BS=np.zeros(shape, np.int64),
    )


def _positions(segments_S: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... from the first token of each segment."""
    index_S = np.arange(segments_S.size)
    begins_S = np.concatenate(([True], segments_S[1:] != segments_S[:-1]))
    return index_S - np.maximum.accumulate(np.where(begins_S, index_S, 0))
