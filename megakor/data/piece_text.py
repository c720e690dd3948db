"""Reads one piece of text: its tokens and labels, which labels count, and which tokens may attend to each other.

Shapes: L tokens of the piece, without padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from megakor.data.row_shard import RowShard
from megakor.data.source import Piece
from megakor.errors import DataError


@dataclass(frozen=True)
class PieceText:
    """`counts` is true where the label counts; `segments` numbers attention segments from 0."""

    tokens: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    segments: np.ndarray


def read_piece(piece: Piece, mask: str, vocabulary_size: int | None) -> PieceText:
    """Read a piece, of a regrouped shard a whole row; `megakor.data.rows.read_rows` explains the masks.

    Raises:
        DataError: a token id does not fit the vocabulary, or a file is damaged.
    """
    if isinstance(piece.shard, RowShard):
        return _read_row(piece, piece.shard, mask, vocabulary_size)
    ids = _read_ids(piece, piece.length + 1, vocabulary_size)
    starts = np.empty(0, np.int64)
    if mask != "none":
        starts = piece.shard.boundaries(piece.start, piece.start + piece.length + 1) - piece.start
    return _text(ids[:-1], ids[1:], starts)


def _read_row(piece: Piece, shard: RowShard, mask: str, vocabulary_size: int | None) -> PieceText:
    """The last token has no label: what follows its document, if anything, may be in any row.

    Inside a cross-lingual group the first token of a document counts: the group is one text to the model, and to go on
    in another language is what it is there to teach.
    """
    row = shard.row_at(piece.start)
    ids = _read_ids(piece, row.tokens, vocabulary_size)
    starts = {"none": row.segment_starts[:0], "isolated": row.document_starts}.get(mask, row.segment_starts)
    text = _text(ids, np.append(ids[1:], ids.dtype.type(0)), starts[starts > 0])
    text.counts[-1] = False
    for start, stop in row.loss_off.tolist():
        text.counts[max(start - 1, 0) : max(stop - 1, 0)] = False  # the labels there are tokens [start, stop)
    return text


def _text(tokens: np.ndarray, labels: np.ndarray, starts: np.ndarray) -> PieceText:
    """`starts` are the places from 1 to L at which a segment begins: L is that of the last label."""
    counts = np.ones(len(tokens), dtype=bool)
    counts[starts - 1] = False
    segments = np.searchsorted(starts, np.arange(len(tokens)), side="right")
    return PieceText(tokens, labels, counts, segments)


def _read_ids(piece: Piece, count: int, vocabulary_size: int | None) -> np.ndarray:
    ids = piece.shard.read(piece.start, count)
    if vocabulary_size is not None and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary_size:
        raise DataError(
            f"{piece.shard.prefix}.bin has token ids {int(ids.min())} to {int(ids.max())} between tokens "
            f"{piece.start:,} and {piece.start + count - 1:,}, but the vocabulary has {vocabulary_size:,}: the "
            "shard was made with another tokenizer than data.tokenizer."
        )
    return ids
