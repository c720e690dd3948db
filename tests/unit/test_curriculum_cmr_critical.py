"""R* from sweeps with a known truth, and from sweeps that determine none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmr_worlds import DOMAIN_BASE, GENERAL_BASE, LAST, RATIOS, UNIT, general_change, peak, sweep
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from megakor.curriculum.cmr.analysis import analyse
from megakor.curriculum.cmr.critical import AT_LEAST, BELOW, INSIDE, TOLERANCE, TURNING, Question, critical_ratio
from megakor.curriculum.cmr.fitted_file import fitted_record, read_fitted, write_fitted
from megakor.curriculum.cmr.measurements import Measurements, SweepRun, measurements_of, read_measurements
from megakor.curriculum.cmr.settings import Settings
from megakor.curriculum.cmr.verdict import verdict, why_unusable
from megakor.errors import DataError

QUICK = Settings(replicates=0, weight=7000.0)
BUDGET = 10_000_000_000


def true_tolerance_ratio(epsilon: float, tokens: float = LAST) -> float:
    return float(brentq(lambda ratio: float(general_change(tokens, ratio)) - epsilon, 0.01, 0.99))


def test_without_noise_the_true_ratio_is_found_where_the_tolerance_is_the_limit() -> None:
    found = analyse(sweep(), replace(QUICK, epsilon=0.05)).critical
    assert found is not None and (found.kind, found.limit) == (INSIDE, TOLERANCE)
    assert found.ratio == pytest.approx(true_tolerance_ratio(0.05), rel=0.02)


def test_without_noise_the_true_ratio_is_found_where_the_turn_is_the_limit() -> None:
    found = analyse(sweep(), replace(QUICK, epsilon=1.0, tokens=BUDGET, weight=1e6)).critical
    assert found is not None and (found.kind, found.limit) == (INSIDE, TURNING)
    assert found.ratio == pytest.approx(BUDGET / (100 * UNIT), rel=0.02)
    for one in found.judged:
        assert one.turning is not None and one.turning.tokens == pytest.approx(peak(one.ratio), rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_with_noise_the_truth_lies_in_the_intervals(seed: int) -> None:
    measured = sweep(noise=1e-3, seed=seed, repeats=2, between=1e-3, points=20)
    found = analyse(measured, Settings(epsilon=0.05, weight=7000.0, replicates=50))
    assert found.interval is not None and found.critical is not None
    assert found.interval.low <= true_tolerance_ratio(0.05) <= found.interval.high
    assert found.interval.high - found.interval.low < 0.2
    covered = [
        one.turning.low <= peak(one.curves.ratio) <= one.turning.high for one in found.ratios if one.turning is not None
    ]
    assert sum(covered) >= len(RATIOS) - 1


def test_the_same_seed_gives_the_same_interval() -> None:
    asked = Settings(epsilon=0.05, replicates=10, seed=3)
    assert analyse(sweep(noise=1e-3), asked).interval == analyse(sweep(noise=1e-3), asked).interval


@hypothesis_settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0.001, 0.3), min_size=2, max_size=5, unique=True))
def test_a_larger_tolerance_never_makes_the_ratio_smaller(epsilons: list[float]) -> None:
    values = [critical_ratio(CURVES, Question(LAST, epsilon, 7000.0, 10.0)).ordered for epsilon in sorted(epsilons)]
    assert values == sorted(values)


CURVES = [one.curves for one in analyse(sweep(points=8), QUICK).ratios]


def test_the_largest_measured_ratio_is_a_bound_and_no_value_when_all_are_feasible() -> None:
    found = analyse(sweep(last=2 * LAST), replace(QUICK, epsilon=1.0))
    assert found.critical is not None and (found.critical.kind, found.critical.ratio) == (AT_LEAST, 0.75)
    assert found.usable == 0.75 and "R* is at least that" in verdict(found)


def test_no_feasible_ratio_is_said_and_none_is_given() -> None:
    found = analyse(sweep(), replace(QUICK, epsilon=-0.5))
    assert found.critical is not None and (found.critical.kind, found.usable) == (BELOW, None)
    assert "no measured ratio is feasible: at the smallest one, 0.125" in verdict(found)


def test_an_interval_that_spans_everything_gives_no_ratio() -> None:
    found = analyse(sweep(noise=0.3, seed=1, points=12), Settings(epsilon=0.05, replicates=40))
    assert found.critical is not None and found.critical.kind != BELOW
    assert found.usable is None and "spans everything measured" in verdict(found)


def test_a_budget_beyond_the_measurements_is_an_extrapolation_and_one_far_beyond_is_refused() -> None:
    near = analyse(sweep(last=LAST // 2), replace(QUICK, tokens=LAST))
    assert near.extrapolated and "2 times what was measured: this is an extrapolation" in verdict(near)
    far = analyse(sweep(), replace(QUICK, tokens=11 * LAST))
    assert far.usable is None and "out of reach of the runs at ratio 0.125" in why_unusable(far)


def test_few_evaluations_leave_the_tolerance_and_say_that_the_turn_is_unknown() -> None:
    found = analyse(sweep(points=6), replace(QUICK, epsilon=0.05))
    assert found.critical is not None and found.critical.limit == TOLERANCE
    assert found.critical.ratio == pytest.approx(true_tolerance_ratio(0.05), rel=0.05)
    assert "T0 is not known at 0.125" in verdict(found)
    assert "at least 7 evaluations" in found.ratios[0].reasons[0]


def test_losses_that_do_not_move_have_no_law() -> None:
    flat = [replace(run, general=(GENERAL_BASE,) * 40) for run in sweep().runs]
    found = analyse(Measurements(tuple(flat)), QUICK)
    assert all("the general loss moves by 0 nats" in one.reasons[0] for one in found.ratios)
    assert found.across[0].fit is None


def test_a_domain_that_is_not_learnt_leaves_nothing_to_trade() -> None:
    rising = [replace(run, domain=tuple(2 * DOMAIN_BASE - loss for loss in run.domain)) for run in sweep().runs]
    found = analyse(Measurements(tuple(rising)), QUICK)
    assert found.critical is None and "does not fall at any ratio" in verdict(found)


def test_a_hole_in_the_feasible_set_is_pointed_out() -> None:
    runs = list(sweep(points=6, ratios=RATIOS[:3]).runs)
    runs[1] = replace(runs[1], general=tuple(loss + 0.5 for loss in runs[1].general))
    found = analyse(Measurements(tuple(runs)), replace(QUICK, epsilon=0.05))
    assert found.critical is not None and "hole: 0.25 fails" in found.critical.notes[0]


def test_the_ratio_grows_with_the_budget_and_a_law_of_it_is_fitted() -> None:
    found = analyse(sweep(), replace(QUICK, epsilon=1.0, weight=1e6, tokens=15_000_000_000))
    inside = [one.critical.ratio for one in found.by_budget if one.critical and one.critical.kind == INSIDE]
    assert len(inside) >= 5 and inside == sorted(inside)
    assert found.budget_law is not None
    assert float(found.budget_law.law.at(BUDGET)) == pytest.approx(0.5, rel=0.03)


def test_the_fitted_file_is_plain_json_and_holds_what_is_needed_to_fit_again(tmp_path: Path) -> None:
    found = analyse(sweep(noise=1e-3), Settings(epsilon=0.05, replicates=10))
    write_fitted(found, tmp_path / "fitted.json")
    content = json.loads((tmp_path / "fitted.json").read_text())
    assert content["R_star"] == found.usable and content["interval"]["level"] == 0.95
    read = read_fitted(tmp_path / "fitted.json")
    assert read.measurements == found.measurements
    again = fitted_record(analyse(read.measurements, read.settings))
    assert json.loads(json.dumps(again)) == content


def test_ill_conditioned_constants_are_not_printed_and_the_curve_is() -> None:
    record = fitted_record(analyse(sweep(noise=1e-3), QUICK))
    curves = [one["general_curve"] for one in record["ratios"] if one["general_curve"]["ill_conditioned"]]
    assert curves and all(curve["constants"] is None and curve["curve"]["level"] for curve in curves)


RUN = SweepRun("a", 0.5, 2.0, 3.0, (10, 20), (2.1, 2.2), (2.9, 2.8))


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ((), "there is no run"),
        ((replace(RUN, ratio=0.0),), "a: the ratio is 0"),
        ((replace(RUN, ratio=1.5),), "a: the ratio is 1.5"),
        ((replace(RUN, tokens=()),), "no evaluation after the warm-up"),
        ((replace(RUN, tokens=(20, 10)),), "do not rise"),
        ((replace(RUN, general=(2.1, math.nan)),), "not a number"),
        ((replace(RUN, domain=(2.1,)),), "differ in length"),
        ((RUN, replace(RUN, name="b", base_general=2.1)), "b starts at a general loss of 2.1, a at 2"),
    ],
)
def test_measurements_that_cannot_be_used_are_refused_in_words(runs: tuple[SweepRun, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Measurements(runs)


def test_a_data_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    for text, words in (("{", "cannot be read"), ("[]", "is a JSON object"), ("{}", '"format" is None')):
        file.write_text(text)
        with pytest.raises(DataError, match=words):
            read_measurements(file)
    content = sweep().as_json()
    del content["runs"][0]["ratio"]
    with pytest.raises(DataError, match="'ratio' is missing"):
        measurements_of(content, "data.json")


def test_resampled_losses_keep_the_number_of_points_of_each_run() -> None:
    from megakor.curriculum.cmr.bootstrap import _blocks
    from megakor.curriculum.cmr.curves import series_of

    series = series_of(sweep(repeats=2, points=11))[0]
    drawn = _blocks(series, np.random.default_rng(0))
    assert len(drawn) == 22 and set(drawn[:11]) <= set(range(11)) and set(drawn[11:]) <= set(range(11, 22))
