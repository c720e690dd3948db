"""The forms of the critical mixture ratio: the paper's tables, known curves, and data that determine nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.curriculum.cmr.across_ratios import fit_across, leave_one_out
from megakor.curriculum.cmr.goodness import CannotFitError
from megakor.curriculum.cmr.power_law import PowerFitter, PowerLaw
from megakor.curriculum.cmr.turning_point import turning_point
from megakor.curriculum.cmr.two_term_law import GAP, TwoTermFitter, TwoTermLaw

TABLE_2 = {
    "460M": ((1.4628, 1.4844, 1.5122, 1.5387), 1.5561, (-0.4264, 0.178, 1.8893)),
    "940M": ((1.3723, 1.3910, 1.4155, 1.4385), 1.4538, (-0.3705, 0.179, 1.7429)),
    "1.6B": ((1.3242, 1.3416, 1.3643, 1.3854), 1.3994, (-0.3129, 0.198, 1.6371)),
    "3.1B": ((1.2585, 1.2750, 1.2965, 1.3170), 1.3305, (-0.3563, 0.163, 1.6148)),
}
"""Domain loss at ratios of 1, 3/4, 1/2 and 1/3; the one at 1/4; alpha, s and beta of a fit to the first four."""
MEASURED = (1.0, 0.75, 0.5, 1 / 3)
TOKENS = np.linspace(1, 100, 50)


@pytest.mark.parametrize("size", TABLE_2)
def test_the_papers_domain_losses_predict_the_ratio_that_was_held_out(size: str) -> None:
    losses, held_out, constants = TABLE_2[size]
    fit = fit_across(MEASURED, losses, "domain loss", exclude_one=False)
    assert float(fit.law.at(0.25)) == pytest.approx(held_out, rel=1e-4)
    assert fit.law.alpha_s_beta(1.0) == pytest.approx(constants, rel=5e-3)
    assert fit.goodness.r_squared > 0.9999 and not fit.goodness.at_bound and not fit.goodness.ill_conditioned


def test_every_ratio_is_predicted_from_the_others() -> None:
    losses, held_out, _ = TABLE_2["460M"]
    found = leave_one_out((*MEASURED, 0.25), (*losses, held_out), exclude_one=False)
    assert [one.ratio for one in found] == [*MEASURED, 0.25]
    assert all(one.error < 5e-4 for one in found)
    assert [one.outside for one in found] == [True, False, False, False, True]


@settings(deadline=None, max_examples=60)
@given(
    exponent=st.floats(-1.4, 1.4),
    amplitude=st.floats(0.01, 3).flatmap(lambda size: st.sampled_from([size, -size])),
    level=st.floats(-3, 3),
)
def test_a_power_law_is_found_again_through_an_exponent_of_zero(
    exponent: float, amplitude: float, level: float
) -> None:
    true = PowerLaw(amplitude, exponent, level, unit=25.0)
    fit = PowerFitter(TOKENS).fit(true.at(TOKENS))
    assert fit.law.exponent == pytest.approx(exponent, abs=1e-4)
    assert fit.law.at(TOKENS) == pytest.approx(true.at(TOKENS), abs=1e-6)


def test_constants_do_not_depend_on_the_unit_that_tokens_are_fitted_in() -> None:
    curve = 0.7 * TOKENS**-0.4 + 1.9
    fit = PowerFitter(TOKENS * 2e8).fit(curve)
    assert fit.law.alpha_s_beta(2e8) == pytest.approx((0.7, -0.4, 1.9), rel=1e-5)
    assert fit.law.slope(6e9) * 2e8 == pytest.approx(0.7 * -0.4 * 30**-1.4, rel=1e-5)


def test_two_terms_that_rise_and_fall_are_found_again() -> None:
    curve = 0.05 * TOKENS**0.5 - 0.02 * TOKENS**0.7 + 0.01
    fit = TwoTermFitter(TOKENS * 2e8).fit(curve)
    assert fit.law.at(TOKENS * 2e8) == pytest.approx(curve, abs=1e-8)
    assert fit.law.constants(2e8) == pytest.approx((0.05, 0.5, -0.02, 0.7, 0.01), rel=1e-3)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), first=st.floats(-1.2, 0.9), apart=st.floats(0.3, 1.5))
def test_exponents_stay_apart_and_inside_their_range(seed: int, first: float, apart: float) -> None:
    noise = np.random.default_rng(seed).normal(size=len(TOKENS)) * 1e-3
    law = TwoTermFitter(TOKENS).law(0.3 * TOKENS**first - 0.2 * TOKENS ** min(first + apart, 1.5) + noise)
    low, high = law.exponents
    assert low >= -1.5 and high <= 1.5 and high - low >= GAP * 0.999


def test_neighbouring_powers_of_opposite_sign_are_called_ill_conditioned_and_distant_ones_are_not() -> None:
    near = TwoTermFitter(TOKENS).fit(0.05 * TOKENS**0.5 - 0.02 * TOKENS**0.7)
    far = TwoTermFitter(TOKENS).fit(0.3 * TOKENS**-1.0 - 0.001 * TOKENS**1.0)
    assert near.goodness.ill_conditioned and near.goodness.r_squared > 0.999
    assert not far.goodness.ill_conditioned


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(1, 1e5), min_size=2, max_size=6, unique=True))
def test_a_larger_lambda_never_brings_the_turn_earlier(weights: list[float]) -> None:
    domain, general = PowerLaw(-0.2, 0.2, 0.0, 1.0), TwoTermLaw((0.025, -0.014), (0.5, 0.7), 0.0, 1.0)
    turns = [turning_point(domain, general, weight, 1e-3, 100.0, 10.0).tokens for weight in sorted(weights)]
    assert turns == sorted(turns)
    assert turns[-1] <= (0.025 / 0.014) ** 5 * (1 + 1e-6)  # the peak of the general loss


def test_the_turn_goes_to_the_peak_of_the_general_loss() -> None:
    domain, general = PowerLaw(-0.2, 0.2, 0.0, 1.0), TwoTermLaw((0.025, -0.014), (0.5, 0.7), 0.0, 1.0)
    peak = (0.025 / 0.014) ** 5
    assert turning_point(domain, general, 1e9, 1.0, 100.0, 10.0).tokens == pytest.approx(peak, rel=1e-4)
    beyond = turning_point(domain, general, 1e9, 1.0, 10.0, 10.0)
    assert beyond.tokens == pytest.approx(peak, rel=1e-4) and beyond.extrapolated
    assert math.isinf(turning_point(domain, general, 1e9, 1.0, 10.0, 1.5).tokens)


def test_a_general_loss_that_only_falls_has_turned_from_the_start_and_one_that_only_rises_never() -> None:
    falling, rising = PowerLaw(-0.2, 0.2, 0.0, 1.0), PowerLaw(0.2, 0.2, 0.0, 1.0)
    assert turning_point(falling, falling, 1000, 1.0, 10.0, 10.0).tokens == 0
    assert math.isinf(turning_point(falling, rising, 1000, 1.0, 10.0, 10.0).tokens)


@pytest.mark.parametrize(
    ("ratios", "losses", "exclude_one", "words"),
    [
        ((0.25, 0.5, 0.75), (1.0, 1.1, 1.2), False, "at least 4 different ones, and there are 3"),
        ((0.25, 0.5, 0.5, 0.75), (1.0, 1.1, 1.1, 1.2), False, "there are 3"),
        ((0.25, 0.5, 0.75, 1.0), (1.0, 1.1, 1.2, 2.0), True, "below 1, and there are 3"),
        ((0.25, 0.5, 0.6, 0.75, 0.9), (1.0, 1.0, 1.0, 1.0, 1.0), False, "moves by 0 nats"),
        ((0.2, 0.3, 0.5, 0.6, 0.75, 0.9), (1.0, 1.01, 0.99, 1.01, 0.99, 1.0), False, "nothing can be fitted"),
    ],
)  # fmt: skip
def test_ratios_that_determine_no_law_are_refused_with_the_reason(
    ratios: tuple[float, ...], losses: tuple[float, ...], exclude_one: bool, words: str
) -> None:
    with pytest.raises(CannotFitError, match=words):
        fit_across(ratios, losses, "domain loss", exclude_one)


def test_a_step_instead_of_a_power_ends_at_the_bound_and_is_said_to() -> None:
    fit = PowerFitter(TOKENS).fit(np.where(TOKENS > 60, 1.0, 0.0))
    assert fit.goodness.at_bound


def test_five_constants_need_seven_points() -> None:
    with pytest.raises(CannotFitError, match="at least 7 evaluations"):
        TwoTermFitter(TOKENS[:6])
