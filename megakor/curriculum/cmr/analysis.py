"""From the measurements of a sweep to R*, with everything that is needed to judge it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from megakor.curriculum.cmr.across_ratios import HeldOut, fit_across, fit_law_across, leave_one_out
from megakor.curriculum.cmr.bootstrap import Interval, Replicates, RunNoise, replicate
from megakor.curriculum.cmr.budget_law import AtBudget, fit_budget_law, over_budgets
from megakor.curriculum.cmr.critical import BELOW, Critical, Question, critical_ratio
from megakor.curriculum.cmr.curves import CurveFitter, RatioCurves, series_of
from megakor.curriculum.cmr.goodness import CannotFitError
from megakor.curriculum.cmr.measurements import Measurements
from megakor.curriculum.cmr.power_law import PowerFit
from megakor.curriculum.cmr.settings import EPSILONS, WEIGHTS, Settings
from megakor.curriculum.cmr.two_term_law import TwoTermFit

T = TypeVar("T")


@dataclass(frozen=True)
class RatioResult:
    """One ratio: its curves with their goodness, or why there is none."""

    curves: RatioCurves
    domain: PowerFit | None
    general: TwoTermFit | None
    reasons: tuple[str, ...]
    turning: Interval | None = None
    general_change: Interval | None = None


@dataclass(frozen=True)
class AcrossResult:
    """L(R) of one loss at the budget."""

    name: str
    losses: tuple[float, ...]
    """At every ratio; in nats, not as changes."""
    fit: PowerFit | None
    held_out: tuple[HeldOut, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Sensitivity:
    """R* for another tolerance and lambda."""

    epsilon: float
    weight: float
    critical: Critical | None


@dataclass(frozen=True)
class Analysis:
    """The whole of a fit."""

    measurements: Measurements
    settings: Settings
    tokens: int
    """The budget."""
    ratios: tuple[RatioResult, ...]
    across: tuple[AcrossResult, ...]
    """General loss, then domain loss."""
    critical: Critical | None
    interval: Interval | None
    noise: RunNoise | None
    failed: float
    """Share of bootstrap replicates without an answer; NaN without a bootstrap."""
    by_budget: tuple[AtBudget, ...]
    budget_law: PowerFit | None
    sensitivity: tuple[Sensitivity, ...]
    reasons: tuple[str, ...]
    """Why something is missing."""

    @property
    def extrapolated(self) -> bool:
        """The budget is longer than what was measured."""
        return self.tokens > self.measurements.last_tokens

    @property
    def undetermined(self) -> bool:
        """The interval of R* spans all measured ratios."""
        return self.interval is not None and self.interval.holds(self.measurements.ratios)

    @property
    def usable(self) -> float | None:
        """The ratio to train with, None where the measurements do not determine one."""
        if self.critical is None or self.critical.kind == BELOW:
            return None
        return None if self.undetermined else self.critical.ratio


def analyse(measurements: Measurements, settings: Settings) -> Analysis:
    """Fits everything. Nothing is raised for measurements that do not suffice: `reasons` and `critical` say so."""
    tokens = settings.tokens or measurements.last_tokens
    fitters = [CurveFitter(series) for series in series_of(measurements)]
    ratios = [_ratio_result(fitter) for fitter in fitters]
    curves = [one.curves for one in ratios]
    question = Question(tokens, settings.epsilon, settings.weight, settings.reach)
    across = _across(measurements, curves, question)
    critical, why = _or_reason(lambda: critical_ratio(curves, question))
    noise = run_noise(curves, across[0])
    asked = settings.replicates if critical else 0
    replicates = replicate(fitters, curves, question, noise, asked, settings.seed)
    by_budget = over_budgets(curves, question) if critical else []
    budget_law, why_no_law = _or_reason(lambda: fit_budget_law(by_budget))
    return Analysis(
        measurements=measurements,
        settings=settings,
        tokens=tokens,
        ratios=tuple(_with_intervals(one, index, replicates, settings) for index, one in enumerate(ratios)),
        across=across,
        critical=critical,
        interval=replicates.ratio(settings.level),
        noise=noise,
        failed=replicates.failed if asked else math.nan,
        by_budget=tuple(by_budget),
        budget_law=budget_law,
        sensitivity=tuple(_sensitivity(curves, question)) if critical else (),
        reasons=tuple(reason for reason in (why, why_no_law if critical else "") if reason),
    )


def _ratio_result(fitter: CurveFitter) -> RatioResult:
    domain, why_no_domain = _or_reason(fitter.domain)
    general, why_no_general = _or_reason(fitter.general)
    curves = RatioCurves(fitter.series, domain.law if domain else None, general.law if general else None)
    reasons = [f"domain: {why_no_domain}"] if why_no_domain else []
    reasons += [f"general: {why_no_general}"] if why_no_general else []
    return RatioResult(curves, domain, general, tuple(reasons))


def _with_intervals(one: RatioResult, index: int, replicates: Replicates, settings: Settings) -> RatioResult:
    turning = replicates.turning(index, settings.level)
    return replace(one, turning=turning, general_change=replicates.general(index, settings.level))


def _across(measurements: Measurements, curves: Sequence[RatioCurves], question: Question) -> tuple[AcrossResult, ...]:
    ratios = [one.ratio for one in curves]
    tokens, reach = question.tokens, question.reach

    def general() -> list[float]:
        return [measurements.base_general + one.general_at(tokens, reach) for one in curves]

    def domain() -> list[float]:
        return [measurements.base_domain + one.domain_at(tokens, reach) for one in curves]

    return (
        _across_one("general loss", ratios, general, exclude_one=True),
        _across_one("domain loss", ratios, domain, exclude_one=False),
    )


def _across_one(
    name: str, ratios: list[float], losses_of: Callable[[], list[float]], exclude_one: bool
) -> AcrossResult:
    losses, why = _or_reason(losses_of)
    if losses is None:
        return AcrossResult(name, (), None, (), (why,))
    fit, why_no_fit = _or_reason(lambda: fit_across(ratios, losses, name, exclude_one))
    held_out, why_not_held_out = _or_reason(lambda: leave_one_out(ratios, losses, exclude_one))
    reasons = tuple(reason for reason in (why_no_fit, why_not_held_out) if reason)
    return AcrossResult(name, tuple(losses), fit, tuple(held_out or ()), reasons)


def run_noise(curves: Sequence[RatioCurves], general: AcrossResult) -> RunNoise | None:
    """How far runs differ as a whole: from repeated ratios, else from what the law over ratios leaves over."""
    squares, freedom = 0.0, 0
    for one in curves:
        if len(one.series.lengths) > 1:
            means = _means_of_runs(one)
            squares += float(np.sum((means - means.mean()) ** 2))
            freedom += len(means) - 1
    if freedom:
        return RunNoise(math.sqrt(squares / freedom), freedom, "runs of one ratio with different seeds")
    if not general.losses:
        return None
    fit, _ = _or_reason(partial(fit_law_across, [one.ratio for one in curves], general.losses, exclude_one=True))
    if fit is None or fit.goodness.points <= fit.goodness.parameters:
        return None
    return RunNoise(
        fit.goodness.noise, fit.goodness.points - fit.goodness.parameters, "what the law over ratios leaves over"
    )


def _means_of_runs(curves: RatioCurves) -> np.ndarray:
    """Mean distance of each run's general loss from the curve of its ratio."""
    series = curves.series
    fitted = series.general.mean() if curves.general_law is None else curves.general_law.at(series.tokens)
    pieces = np.split(series.general - fitted, np.cumsum(series.lengths)[:-1])
    return np.array([piece.mean() for piece in pieces])


def _sensitivity(curves: Sequence[RatioCurves], question: Question) -> list[Sensitivity]:
    epsilons = sorted({*EPSILONS, question.epsilon})
    weights = sorted({*WEIGHTS, question.weight})
    found = []
    for epsilon in epsilons:
        for weight in weights:
            critical, _ = _or_reason(partial(critical_ratio, curves, replace(question, epsilon=epsilon, weight=weight)))
            found.append(Sensitivity(epsilon, weight, critical))
    return found


def _or_reason(make: Callable[[], T]) -> tuple[T | None, str]:
    """(the value, "") or (None, why there is none)."""
    try:
        return make(), ""
    except CannotFitError as error:
        return None, str(error)
