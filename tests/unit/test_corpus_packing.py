"""Best-fit packing: no document is cut that fits, rows are full, windows are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.operations.packing import BestFit, best_fit
from megakor.corpus.operations.pieces import Piece, Unit, cut

ROW = 64
LENGTHS = st.lists(st.integers(1, 3 * ROW), max_size=80)


def web_lengths(count: int, seed: int = 0) -> list[int]:
    """Lengths as of web documents: log-normal, a few longer than a row of 4,096."""
    return np.random.default_rng(seed).lognormal(6.2, 1.1, count).astype(int).clip(1, 20_000).tolist()


def units(lengths: Sequence[int], longest: int) -> list[Unit]:
    documents = (Piece(np.zeros(length, np.uint16), number, "ko") for number, length in enumerate(lengths))
    return [unit for document in documents for unit in cut(document, longest)]


def packed(lengths: Sequence[int], row_tokens: int, window: int, seed: int = 1) -> tuple[list[list[Piece]], BestFit]:
    packer = BestFit(row_tokens, window, seed)
    rows = [row for unit in units(lengths, row_tokens) for row in packer.add(unit)]
    return rows + list(packer.finish()), packer


def fill(rows: Sequence[Sequence[Piece]], row_tokens: int) -> float:
    return sum(len(piece) for row in rows for piece in row) / (len(rows) * row_tokens)


def next_fit(lengths: Sequence[int], row_tokens: int) -> int:
    """Rows where documents are taken in order and a row ends with the first that does not fit."""
    rows, room = 0, 0
    for length in lengths:
        if length > room:
            rows, room = rows + 1, row_tokens
        room -= length
    return rows


def first_fit(lengths: Sequence[int], row_tokens: int) -> int:
    rooms: list[int] = []
    for length in lengths:
        place = next((place for place, room in enumerate(rooms) if room >= length), None)
        if place is None:
            place = len(rooms)
            rooms.append(row_tokens)
        rooms[place] -= length
    return len(rooms)


@given(LENGTHS, st.integers(ROW, 8 * ROW))
def test_every_piece_is_in_one_row_and_no_row_is_over_its_length(lengths: list[int], window: int) -> None:
    rows, _ = packed(lengths, ROW, window)
    given_pieces = sorted((piece.document, piece.offset, len(piece)) for u in units(lengths, ROW) for piece in u.pieces)
    assert sorted((piece.document, piece.offset, len(piece)) for row in rows for piece in row) == given_pieces
    assert all(0 < sum(map(len, row)) <= ROW for row in rows)


@given(st.lists(st.integers(1, ROW), min_size=1, max_size=60))
def test_best_fit_never_leaves_two_rows_that_fit_into_one(lengths: list[int]) -> None:
    loads = sorted(sum(lengths[number] for number in row) for row in best_fit(lengths, ROW))
    assert all(one + two > ROW for one, two in pairwise(loads))


@given(LENGTHS)
def test_only_documents_longer_than_a_row_are_cut(lengths: list[int]) -> None:
    rows, _ = packed(lengths, ROW, 4 * ROW)
    cut_documents = {piece.document for row in rows for piece in row if len(piece) < lengths[piece.document]}
    assert cut_documents == {number for number, length in enumerate(lengths) if length > ROW}


def test_packing_beats_first_fit_and_rows_in_order() -> None:
    lengths = [length for length in web_lengths(8000) if length <= 4096]
    rows, _ = packed(lengths, 4096, 4 << 20)
    ideal = sum(lengths) / 4096
    assert fill(rows, 4096) > 0.998
    assert len(rows) < first_fit(lengths, 4096) < next_fit(lengths, 4096)
    assert next_fit(lengths, 4096) > 1.1 * ideal


def test_end_to_end_concatenation_would_cut_documents_that_packing_keeps_whole() -> None:
    lengths = web_lengths(4000)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    concatenated = ((ends - 1) // 4096 > starts // 4096) & (np.array(lengths) <= 4096)
    rows, _ = packed(lengths, 4096, 4 << 20)
    kept = {piece.document for row in rows for piece in row if len(piece) == lengths[piece.document]}
    assert concatenated.mean() > 0.1
    assert set(np.flatnonzero(concatenated).tolist()) <= kept


def test_rows_that_wait_for_the_next_window_make_small_windows_pack_well() -> None:
    rows, _ = packed(web_lengths(6000), 4096, 64 * 4096)
    assert fill(rows, 4096) > 0.99


def test_a_window_holds_no_more_than_it_may_whatever_the_size_of_the_corpus() -> None:
    window = 32 * ROW
    for count in (200, 2000):
        lengths = np.random.default_rng(count).integers(1, 3 * ROW, count).tolist()
        _, packer = packed(lengths, ROW, window)
        assert packer.peak < window + 2 * ROW  # a piece counts for 128 tokens at least


def test_documents_that_never_share_a_row_do_not_pile_up() -> None:
    rows, packer = packed([ROW // 2 + 1] * 3000, ROW, 32 * ROW)
    assert len(rows) == 3000
    assert packer.peak <= 32 * ROW + 2 * ROW


def test_the_seed_alone_decides_the_order() -> None:
    lengths = web_lengths(500)

    def order(seed: int) -> list[list[int]]:
        return [[piece.document for piece in row] for row in packed(lengths, 4096, 40 * 4096, seed)[0]]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_long_documents_do_not_come_first() -> None:
    rows, _ = packed(web_lengths(4000), 4096, 8 << 20)
    longest = np.array([max(map(len, row)) for row in rows], dtype=float)
    half = len(rows) // 2
    assert longest[:half].mean() == pytest.approx(longest[half:].mean(), rel=0.1)
    first = np.mean([len(row[0]) for row in rows if len(row) > 1])
    last = np.mean([len(row[-1]) for row in rows if len(row) > 1])
    assert first == pytest.approx(last, rel=0.2)
