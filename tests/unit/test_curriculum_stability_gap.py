"""Depth, length and final gain of curves that were drawn by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.curriculum.stability_gap import Gap

B = 10**9
DIP = [(0, 36.0), (5 * B, 34.5), (10 * B, 35.0), (15 * B, 36.5), (50 * B, 37.5)]


def test_a_dip_has_depth_length_and_a_final_gain() -> None:
    gap = Gap.of_curve(DIP, higher_is_better=True)
    assert (gap.depth, gap.worst_tokens, gap.length, gap.final_gain) == (1.5, 5 * B, 15 * B, 1.5)
    assert not gap.in_dip


def test_a_loss_is_read_the_other_way_round() -> None:
    gap = Gap.of_curve([(0, 2.0), (1, 2.5), (2, 2.25), (3, 1.75)], higher_is_better=False)
    assert (gap.depth, gap.worst_tokens, gap.length, gap.final_gain) == (0.5, 1, 3, 0.25)


def test_what_never_falls_has_no_gap() -> None:
    gap = Gap.of_curve([(0, 0.25), (1, 0.25), (2, 0.5)], higher_is_better=True)
    assert (gap.depth, gap.length, gap.final_gain) == (0, 0, 0.25)


def test_while_it_has_not_recovered_there_is_no_length() -> None:
    gap = Gap.of_curve(DIP[:3], higher_is_better=True)
    assert gap.in_dip and gap.length is None and gap.final_gain == -1.0


def test_a_second_and_deeper_dip_counts_from_the_beginning() -> None:
    points = [(0, 0.5), (1, 0.25), (2, 0.75), (3, 0.125), (4, 0.25), (5, 0.5)]
    gap = Gap.of_curve(points, higher_is_better=True)
    assert (gap.depth, gap.worst_tokens, gap.length) == (0.375, 3, 5)


def test_a_later_shallower_dip_does_not_take_the_recovery_back() -> None:
    gap = Gap.of_curve([(0, 0.5), (1, 0.25), (2, 0.5), (3, 0.375)], higher_is_better=True)
    assert gap.length == 2 and gap.in_dip


def test_a_curve_may_begin_anywhere() -> None:
    assert Gap.of_curve([(100, 1.0), (110, 2.0), (130, 1.0)], higher_is_better=False).length == 30


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=12), st.booleans(), st.data())
def test_the_definitions_hold_and_survive_a_restart(scores: list[float], higher: bool, data: st.DataObject) -> None:
    points = list(enumerate(scores))
    gap = Gap.of_curve(points, higher)
    sign = 1 if higher else -1
    upward = [sign * score for score in scores]
    assert gap.depth == upward[0] - min(upward)
    assert gap.final_gain == upward[-1] - upward[0]
    worst = upward.index(min(upward))
    recovered = [place for place in range(worst, len(upward)) if upward[place] >= upward[0]]
    assert gap.length == (recovered[0] if recovered else None)

    cut = data.draw(st.integers(1, len(points)))
    resumed = Gap.from_json(json.loads(json.dumps(Gap.of_curve(points[:cut], higher).to_json())))
    for tokens, score in points[cut:]:
        resumed = resumed.after(tokens, score)
    assert resumed == gap


@pytest.mark.parametrize("higher", [True, False])
def test_one_evaluation_is_no_gap_yet(higher: bool) -> None:
    gap = Gap.begin(0, 1.0, higher)
    assert (gap.depth, gap.length, gap.final_gain) == (0, 0, 0)
