"""Best-fit packing: documents into rows of one length without cutting those that fit into a row.

"Fewer truncations improve language modeling" (arXiv 2404.10830): longest documents first, each into the fullest row
that still has room for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from megakor.corpus.fields.draws import draws, shuffled
from megakor.corpus.operations.pieces import Piece, Unit

_CARRIED_SHARE = 4  # at most a quarter of a window waits for the next one
_FULL_ENOUGH = 128  # a row that lacks less than 1/128 of its length does not wait


def best_fit(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Numbers of the units in each row, best-fit decreasing; every length is from 1 to `row_tokens`.

    Free room is looked up in one wide integer, whose bit n is set while some row has n free tokens.
    """
    rows: list[list[int]] = []
    rows_with: dict[int, list[int]] = {}
    free = 0
    for number in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        length = lengths[number]
        if fitting := free >> length:
            room = length + (fitting & -fitting).bit_length() - 1
            row = rows_with[room].pop()
            free ^= 0 if rows_with[room] else 1 << room
        else:
            row, room = len(rows), row_tokens
            rows.append([])
        rows[row].append(number)
        if left := room - length:
            rows_with.setdefault(left, []).append(row)
            free |= 1 << left
    return rows


class BestFit:
    """Packs a stream of units, one bounded window after another.

    Rows that a window leaves with much room wait for the next one, at most a quarter of a window. Rows, and the units
    inside them, come in a random order: best fit alone would give long documents first.
    """

    def __init__(self, row_tokens: int, window_tokens: int, seed: int) -> None:
        self.peak = 0
        """The most that a window weighed, in tokens."""
        self._row_tokens, self._window_tokens, self._seed = row_tokens, window_tokens, seed
        self._window: list[Unit] = []
        self._weight = self._windows = 0

    def add(self, unit: Unit) -> Iterator[list[Piece]]:
        """Take a unit of at most a row; gives the rows that are done by it, mostly none."""
        self._window.append(unit)
        self._weight += unit.weight
        self.peak = max(self.peak, self._weight)
        if self._weight >= self._window_tokens:
            done, self._window = self._settled(self._packed())
            self._weight = sum(unit.weight for unit in self._window)
            yield from self._mixed(done)

    def finish(self) -> Iterator[list[Piece]]:
        """The rows that are left."""
        done, self._window, self._weight = self._packed(), [], 0
        yield from self._mixed(done)

    def _packed(self) -> list[list[Unit]]:
        firsts = np.array([unit.pieces[0].document for unit in self._window], dtype=np.int64)
        places = draws(firsts, self._seed, "place in row").tolist()
        return [
            [self._window[number] for number in sorted(row, key=places.__getitem__)]
            for row in best_fit([unit.tokens for unit in self._window], self._row_tokens)
        ]

    def _settled(self, rows: list[list[Unit]]) -> tuple[list[list[Unit]], list[Unit]]:
        """The rows that are done, and the units of the emptiest others, for the next window."""
        free = [self._row_tokens - sum(unit.tokens for unit in row) for row in rows]
        room = self._window_tokens // _CARRIED_SHARE
        waiting: set[int] = set()
        for number in sorted(range(len(rows)), key=lambda number: -free[number]):
            room -= sum(unit.weight for unit in rows[number])
            if room < 0 or free[number] * _FULL_ENOUGH <= self._row_tokens:
                break
            waiting.add(number)
        done = [row for number, row in enumerate(rows) if number not in waiting]
        return done, [unit for number in sorted(waiting) for unit in rows[number]]

    def _mixed(self, rows: list[list[Unit]]) -> Iterator[list[Piece]]:
        order = shuffled(len(rows), self._seed, f"rows of window {self._windows}").tolist()
        self._windows += 1
        for number in order:
            yield [piece for unit in rows[number] for piece in unit.pieces]
