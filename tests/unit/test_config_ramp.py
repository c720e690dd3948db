"""Ramps: means over any range of tokens are exact, and what is written comes back."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from megakor.config.ramp import Ramp, mean_shares, shares_of
from megakor.config.replay import with_replay

SHAPES = st.sampled_from(["linear", "cosine", "step"])
RAMPS = st.builds(
    lambda shape, start, length, steps: Ramp({"b": 1.0}, shape, start, start + length, steps),
    SHAPES,
    st.integers(0, 500),
    st.integers(1, 400),
    st.integers(2, 7),
)


def height(ramp: Ramp, token: float) -> float:
    """The shape as its words say it."""
    x = min(max((token - ramp.start) / (ramp.stop - ramp.start), 0.0), 1.0)
    if ramp.shape == "linear":
        return x
    if ramp.shape == "cosine":
        return (1 - math.cos(math.pi * x)) / 2
    return min(int(x * ramp.steps), ramp.steps - 1) / (ramp.steps - 1)


@given(ramp=RAMPS, start=st.integers(0, 1000), length=st.integers(1, 300))
def test_what_has_passed_is_the_mean_of_the_shape_over_the_range(ramp: Ramp, start: int, length: int) -> None:
    points = [start + length * (index + 0.5) / 2000 for index in range(2000)]
    mean = sum(height(ramp, point) for point in points) / len(points)
    assert abs(ramp.passed(start, start + length) - mean) < 2e-3


@given(ramp=RAMPS, cuts=st.lists(st.integers(0, 1000), min_size=2, max_size=12, unique=True).map(sorted))
def test_the_integral_does_not_depend_on_how_the_clock_is_cut_into_batches(ramp: Ramp, cuts: list[int]) -> None:
    pieces = sum(ramp.passed(a, b) * (b - a) for a, b in pairwise(cuts))
    assert abs(pieces - ramp.passed(cuts[0], cuts[-1]) * (cuts[-1] - cuts[0])) < 1e-6


@given(ramp=RAMPS)
def test_a_ramp_begins_at_nothing_ends_at_everything_and_is_held(ramp: Ramp) -> None:
    assert ramp.passed(ramp.start - 1000, ramp.start) == 0
    assert ramp.passed(ramp.stop, ramp.stop + 1000) == 1
    assert Ramp.from_description(ramp.describe()).describe() == ramp.describe()


def test_shares_move_from_the_first_to_the_last_mixture_and_always_sum_to_one() -> None:
    ramp = Ramp({"a": 0.25, "c": 0.75}, "linear", 100, 300)
    assert mean_shares({"a": 0.5, "b": 0.5}, ramp, 0, 100) == {"a": 0.5, "b": 0.5}
    assert mean_shares({"a": 0.5, "b": 0.5}, ramp, 100, 300) == {"a": 0.375, "b": 0.25, "c": 0.375}
    assert mean_shares({"a": 0.5, "b": 0.5}, ramp, 300, 301) == {"a": 0.25, "c": 0.75}


def test_levels_of_a_step_ramp_are_equally_long_and_hold_both_ends() -> None:
    ramp = Ramp({"b": 1.0}, "step", 0, 400, 4)
    assert [round(ramp.passed(at, at + 100), 6) for at in (0, 100, 200, 300)] == [0, 0.333333, 0.666667, 1]


WEIGHTS = st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 10), min_size=1)


@given(weights=WEIGHTS, ratio=st.floats(0.001, 0.999))
def test_replay_gets_its_ratio_and_leaves_the_proportions_of_the_others(
    weights: dict[str, float], ratio: float
) -> None:
    shares = with_replay(weights, ("x", "y"), ratio)
    assert math.isclose(math.fsum(shares.values()), 1)
    assert math.isclose(shares["x"] + shares["y"], ratio) and shares["x"] == shares["y"]
    for name, share in shares_of(weights).items():
        assert math.isclose(shares[name], share * (1 - ratio))
    weighed = with_replay({**weights, "x": 3.0, "y": 1.0}, ("x", "y"), ratio)
    assert math.isclose(weighed["x"], 3 * weighed["y"])
