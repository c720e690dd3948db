"""Puts many short texts into few rows, each a segment of its own that sees no other.

Shapes: R rows, S tokens in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megakor.data.probe_texts import UNSCORED, ScoredText
from megakor.data.rows import PADDING_SEGMENT, RowBatch


@dataclass(frozen=True)
class ScoredRows:
    """Rows of texts. A text of n tokens fills n - 1 places: its last token is only predicted."""

    rows: RowBatch
    """`loss_mask` is 1 where a span is scored."""
    spans_RS: np.ndarray
    """int64: the span, over all texts in their order, that a place belongs to; 0 where the loss mask is 0."""
    counts: np.ndarray
    """int64 [spans]: places of each span."""

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.spans_RS)

    def take(self, chosen: Sequence[int | None]) -> tuple[RowBatch, np.ndarray]:
        """Some of the rows with their spans; None is a row of padding."""
        rows, places = self.rows, [self.count if row is None else row for row in chosen]

        def pick(values_RS: np.ndarray, padding: int) -> np.ndarray:
            empty_1S = np.full((1, values_RS.shape[1]), padding, values_RS.dtype)
            return np.concatenate([values_RS, empty_1S])[places]

        batch = RowBatch(
            pick(rows.tokens_BS, 0),
            pick(rows.labels_BS, 0),
            pick(rows.loss_mask_BS, 0),
            pick(rows.segments_BS, PADDING_SEGMENT),
            pick(rows.positions_BS, 0),
        )
        return batch, pick(self.spans_RS, 0)


def lay_out(texts: Sequence[ScoredText], length: int) -> ScoredRows:
    """Lay texts of at most `length` + 1 tokens into rows in their order, a new row where one does not fit any more."""
    places = _places([len(text.tokens) - 1 for text in texts], length)
    shape = (places[-1][0] + 1, length)
    tokens_RS, labels_RS, positions_RS, spans_RS = (np.zeros(shape, np.int64) for _ in range(4))
    scored_RS = np.zeros(shape, np.float32)
    segments_RS = np.full(shape, PADDING_SEGMENT, np.int32)
    before = 0
    for text, (row, start) in zip(texts, places, strict=True):
        here = (row, slice(start, start + len(text.tokens) - 1))
        spans = text.spans[1:]
        tokens_RS[here], labels_RS[here] = text.tokens[:-1], text.tokens[1:]
        positions_RS[here] = np.arange(len(spans))
        segments_RS[here] = segments_RS[row].max() + 1
        scored_RS[here] = spans != UNSCORED
        spans_RS[here] = np.where(spans != UNSCORED, before + spans, 0)
        before += int(text.spans.max()) + 1
    counts = np.bincount(spans_RS[scored_RS > 0], minlength=before)
    return ScoredRows(RowBatch(tokens_RS, labels_RS, scored_RS, segments_RS, positions_RS), spans_RS, counts)


def _places(lengths: Sequence[int], row_length: int) -> list[tuple[int, int]]:
    """Row and first place of each text."""
    places, row, filled = [], 0, 0
    for length in lengths:
        assert length <= row_length, "a text is longer than a row"
        if filled + length > row_length:
            row, filled = row + 1, 0
        places.append((row, filled))
        filled += length
    return places
