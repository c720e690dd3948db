"""The scaling law of continued training: the paper's coefficients, its trap, laws fitted to runs with a known truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.curriculum.cpt_law import (
    PUBLISHED,
    Law,
    Laws,
    break_even_tokens,
    compute_saved,
    split,
    tokens_saved,
    tokens_with_replay,
)
from megakor.curriculum.cpt_law_fit import CptRun, fit_cpt_law
from megakor.errors import ConfigError, DataError

TRUE = Laws(Law(1.5, 400.0, 0.34, 500.0, 0.30), Law(1.5, 400.0, 0.34, 60.0, 0.22, 0.05))
SIZES = (40e6, 100e6, 400e6, 1e9)


def world(noise: float = 0.0, seed: int = 0, sizes: tuple[float, ...] = SIZES) -> list[CptRun]:
    random = np.random.default_rng(seed)
    runs = []
    for continued, law in ((False, TRUE.scratch), (True, TRUE.continued)):
        for size in sizes:
            for per_parameter in (5, 10, 20, 40):
                loss = law.loss(size, size * per_parameter) * math.exp(noise * random.normal())
                runs.append(CptRun(f"{size:g}-{per_parameter}", size, size * per_parameter, loss, continued))
    return runs


def test_the_optimum_has_the_papers_coefficients() -> None:
    (k, a), (m, b) = PUBLISHED.scratch.optimum_line()
    assert (k, m) == pytest.approx((0.32435, 0.51384), rel=1e-3)
    assert (a, b) == pytest.approx((0.4286, 0.5714), abs=1e-4)
    (k, a), (m, b) = PUBLISHED.continued.optimum_line()
    assert (k, m) == pytest.approx((4.7886, 0.034805), rel=1e-3)
    assert (a, b) == pytest.approx((0.3846, 0.6154), abs=1e-4)


@pytest.mark.parametrize(("compute", "saved"), [(1e19, 0.461), (1e22, 0.434)])
def test_the_papers_lines_give_the_papers_savings(compute: float, saved: float) -> None:
    assert compute_saved(compute) == pytest.approx(saved, abs=1e-3)


@pytest.mark.parametrize("law", [PUBLISHED.scratch, PUBLISHED.continued])
def test_printed_constants_are_not_evaluated_where_they_contradict_the_paper(law: Law) -> None:
    assert law.loss(1e9, 2e9) > 0
    with pytest.raises(ConfigError, match=r"at 12\.7 tokens per parameter"):
        law.loss(5.5e9, 7e10)
    assert PUBLISHED.continued.unguarded_loss(5.5e9, 7e10) > PUBLISHED.scratch.unguarded_loss(5.5e9, 7e10)  # the trap


def test_the_crossing_of_printed_constants_is_refused() -> None:
    with pytest.raises(ConfigError, match="cross where the paper's runs do not"):
        break_even_tokens(PUBLISHED, 1e9)
    unguarded = Laws(*(replace(law, printed=False) for law in (PUBLISHED.scratch, PUBLISHED.continued)))
    crossings = [break_even_tokens(unguarded, size).tokens for size in (40e6, 400e6, 1.4e9, 5.5e9)]
    assert crossings == pytest.approx([1.9e8, 1.2e9, 3.3e9, 9.9e9], rel=0.05)


@given(st.floats(15, 26), st.floats(-0.5, 0.5))
def test_no_other_split_of_the_compute_is_better(exponent: float, shift: float) -> None:
    compute = 10**exponent
    parameters, tokens = TRUE.continued.optimum(compute)
    assert 6 * parameters * tokens == pytest.approx(compute)
    other = TRUE.continued.loss(parameters * math.exp(shift), tokens * math.exp(-shift))
    assert TRUE.continued.loss(parameters, tokens) <= other * (1 + 1e-12)


@given(st.floats(0, 0.9))
def test_replay_costs_its_share_of_the_compute(replay: float) -> None:
    best, plain = split(TRUE.continued, 1e20, replay), split(TRUE.continued, 1e20 * (1 - replay))
    assert best.target_tokens == pytest.approx((1 - replay) * best.tokens)
    assert (best.parameters, best.target_tokens) == pytest.approx((plain.parameters, plain.target_tokens))
    assert 6 * best.parameters * best.tokens == pytest.approx(1e20)
    assert tokens_with_replay(best.target_tokens, replay) == pytest.approx(best.tokens)


@pytest.mark.parametrize("replay", [-0.1, 1.0, float("nan")])
def test_an_impossible_share_of_replay_is_refused(replay: float) -> None:
    with pytest.raises(ConfigError, match="share of replay"):
        split(TRUE.continued, 1e20, replay)


@pytest.mark.parametrize("compute", [0.0, -1.0, math.inf])
def test_impossible_compute_is_refused(compute: float) -> None:
    with pytest.raises(ConfigError, match="give a number above 0"):
        split(TRUE.continued, compute)


def test_a_law_without_an_optimum_is_refused() -> None:
    with pytest.raises(ConfigError, match="gamma must be below both"):
        split(replace(TRUE.continued, gamma=0.3), 1e20)


def test_at_the_break_even_both_losses_are_equal() -> None:
    crossing = break_even_tokens(TRUE, 1e9)
    assert crossing.before == "continued"
    losses = [law.loss(1e9, crossing.tokens) for law in (TRUE.scratch, TRUE.continued)]
    assert losses[0] == pytest.approx(losses[1])
    assert tokens_saved(TRUE, 1e9, crossing.tokens) == pytest.approx(0, abs=1e-6)
    assert tokens_saved(TRUE, 1e9, crossing.tokens / 10) > 0 > tokens_saved(TRUE, 1e9, crossing.tokens * 10)


def test_laws_that_never_cross_are_said_to() -> None:
    better = Laws(TRUE.scratch, replace(TRUE.scratch, B=100.0))
    assert break_even_tokens(better, 1e9).tokens == math.inf
    assert break_even_tokens(better, 1e9).before == "continued"


def test_compute_saved_by_fitted_laws_reaches_the_same_loss() -> None:
    saved = compute_saved(1e20, TRUE)
    losses = [TRUE.scratch.loss(*TRUE.scratch.optimum(1e20))]
    losses += [TRUE.continued.loss(*TRUE.continued.optimum(1e20 * (1 - saved)))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_the_true_law_is_found_again() -> None:
    fit = fit_cpt_law(world(), replicates=0)
    assert fit.scratch is not None and fit.continued is not None
    for found, true in ((fit.scratch, TRUE.scratch), (fit.continued, TRUE.continued)):
        constants = (found.E, found.alpha, found.beta, found.gamma)
        assert constants == pytest.approx((true.E, true.alpha, true.beta, true.gamma), abs=5e-3)
    assert max(map(abs, fit.errors)) < 1e-5 and fit.at_bound == ()


def test_with_noise_the_truth_lies_in_most_intervals() -> None:
    fit = fit_cpt_law(world(noise=1e-3, seed=1), replicates=20)
    true = {"E": 1.5, "alpha": 0.34, "scratch.beta": 0.30, "continued.beta": 0.22, "continued.gamma": 0.05}
    covered = [fit.intervals[name][0] <= value <= fit.intervals[name][1] for name, value in true.items()]
    assert sum(covered) >= 4


def test_one_kind_of_runs_gives_one_law() -> None:
    fit = fit_cpt_law([run for run in world() if run.continued], replicates=0)
    assert fit.scratch is None and fit.continued is not None
    assert fit.continued.loss(4e8, 4e9) == pytest.approx(TRUE.continued.loss(4e8, 4e9), rel=1e-4)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "there is no run"),
        (world()[:4], "1 sizes of models"),
        (world()[:6], "6 scratch runs for 5 constants: at least 7"),
        (world(sizes=(1e8, 1.5e8, 2e8)), "sizes of the scratch runs span less than a factor of 3"),
        ([*world(), CptRun("broken", 1e8, 1e9, math.nan, True)], "broken: losses, parameters and tokens"),
    ],
)
def test_runs_that_do_not_determine_the_law_are_refused_with_the_reason(runs: list[CptRun], words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_cpt_law(runs)


def test_constants_that_the_runs_do_not_determine_are_named() -> None:
    flat = [replace(run, loss=2.0) for run in world()]
    assert fit_cpt_law(flat, replicates=0).at_bound
