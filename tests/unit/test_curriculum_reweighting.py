"""Shares by changes of perplexity, as in Llama-3-SynE."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.schema_controllers import ReweightingConfig
from megakor.curriculum.reweighting import reweighted, scaled_inside

NAMES = ("news", "law", "web", "code", "books")


def test_it_is_the_formula_of_the_paper() -> None:
    before = {"news": math.log(20.0), "law": math.log(30.0)}
    now = {"news": math.log(16.0), "law": math.log(32.0)}
    settings = ReweightingConfig(strength=0.5, importance={"law": 1.5}, minimum=0.01, maximum=100)
    found = reweighted({"news": 0.6, "law": 0.4}, {"news": 0.6, "law": 0.4}, before, now, settings)
    news, law = 0.6 * (1 - 0.5), 0.4 * (1 + 0.5 * 0.5 * 1.5)
    assert found == pytest.approx({"news": news / (news + law), "law": law / (news + law)})


def test_what_gets_better_least_gets_more() -> None:
    before = dict.fromkeys(NAMES, 3.0)
    now = {name: 2.5 + 0.1 * place for place, name in enumerate(NAMES)}
    equal = dict.fromkeys(NAMES, 0.2)
    found = reweighted(equal, equal, before, now, ReweightingConfig())
    assert sorted(NAMES, key=lambda name: found[name]) == list(NAMES)


def test_nothing_moves_without_a_change() -> None:
    losses = {"news": 2.0, "law": 3.0}
    parts = {"news": 0.3, "law": 0.7}
    assert reweighted(parts, parts, losses, losses, ReweightingConfig()) == parts


losses = st.lists(st.lists(st.floats(0, 12), min_size=5, max_size=5), min_size=2, max_size=12)
starts = st.lists(st.floats(0.01, 1), min_size=5, max_size=5)


@given(
    history=losses,
    start=starts,
    strength=st.floats(0.01, 0.49),
    low=st.floats(0.05, 1),
    high=st.floats(1, 20),
    importance=st.lists(st.floats(0, 2), min_size=5, max_size=5),
)
def test_shares_sum_to_one_and_stay_in_their_bounds(
    history: list[list[float]], start: list[float], strength: float, low: float, high: float, importance: list[float]
) -> None:
    begins = {name: share / sum(start) for name, share in zip(NAMES, start, strict=True)}
    settings = ReweightingConfig(None, strength, dict(zip(NAMES, importance, strict=True)), [], low, high)
    parts = begins
    for pair in pairwise(history):
        named = [dict(zip(NAMES, values, strict=True)) for values in pair]
        parts = reweighted(parts, begins, named[0], named[1], settings)
        assert math.fsum(parts.values()) == pytest.approx(1, abs=1e-9)
        for name, share in parts.items():
            assert begins[name] * low * (1 - 1e-9) <= share <= begins[name] * high * (1 + 1e-9)


@given(start=starts, values=starts)
def test_inside_the_bounds_proportions_are_kept(start: list[float], values: list[float]) -> None:
    named = dict(zip(NAMES, values, strict=True))
    found = scaled_inside(named, dict.fromkeys(NAMES, (0.0001, 1.0)))
    assert found == pytest.approx({name: value / sum(values) for name, value in named.items()})
