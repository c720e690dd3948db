"""The losses of one ratio over tokens, as changes from the base, with the laws fitted to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from megakor.curriculum.cmr.goodness import CannotFitError, Floats, require_movement
from megakor.curriculum.cmr.measurements import Measurements
from megakor.curriculum.cmr.power_law import PowerFit, PowerFitter, PowerLaw
from megakor.curriculum.cmr.turning_point import TurningPoint, turning_point
from megakor.curriculum.cmr.two_term_law import TwoTermFit, TwoTermFitter, TwoTermLaw

LEAST_SPAN = 4.0
"""Last over first tokens of a curve: over less, every power looks like a straight line."""
LEAST_POINTS = 5
"""Of a law with three constants over tokens."""
T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """All points of one ratio; runs that repeat it with other seeds follow one another."""

    ratio: float
    tokens: Floats
    general: Floats
    """Changes from the base (nats)."""
    domain: Floats
    lengths: tuple[int, ...]
    """Points of each run."""

    @property
    def first(self) -> float:
        """Least tokens of a point."""
        return float(self.tokens.min())

    @property
    def last(self) -> float:
        """Most tokens of a point."""
        return float(self.tokens.max())


def series_of(measurements: Measurements) -> tuple[Series, ...]:
    """One series a ratio, by rising ratio."""
    found = []
    for ratio in measurements.ratios:
        runs = [run for run in measurements.runs if run.ratio == ratio]
        tokens = np.concatenate([np.array(run.tokens, float) for run in runs])
        general = np.concatenate([np.array(run.general) - run.base_general for run in runs])
        domain = np.concatenate([np.array(run.domain) - run.base_domain for run in runs])
        found.append(Series(ratio, tokens, general, domain, tuple(len(run.tokens) for run in runs)))
    return tuple(found)


@dataclass(frozen=True)
class RatioCurves:
    """One ratio: its points, and a law for each loss where one could be fitted."""

    series: Series
    domain_law: PowerLaw | None
    general_law: TwoTermLaw | None

    @property
    def ratio(self) -> float:
        """Share of domain text."""
        return self.series.ratio

    def general_at(self, tokens: float, reach: float) -> float:
        """Delta L_gen. Raises CannotFitError for tokens that cannot be answered for."""
        return self._at(self.general_law, self.series.general, tokens, reach)

    def domain_at(self, tokens: float, reach: float) -> float:
        """Delta L_dom. Raises CannotFitError for tokens that cannot be answered for."""
        return self._at(self.domain_law, self.series.domain, tokens, reach)

    def turning(self, weight: float, reach: float) -> TurningPoint | None:
        """T0 for lambda = `weight`; None where a law is missing."""
        if self.domain_law is None or self.general_law is None:
            return None
        series = self.series
        return turning_point(self.domain_law, self.general_law, weight, series.first, series.last, reach)

    def _at(self, law: PowerLaw | TwoTermLaw | None, losses: Floats, tokens: float, reach: float) -> float:
        first, last = self.series.first, self.series.last
        if not first <= tokens <= last * reach:
            raise CannotFitError(
                f"{tokens:.3g} tokens are out of reach of the runs at ratio {self.ratio:g}, which were measured from "
                f"{first:.3g} to {last:.3g} tokens (laws are extrapolated {reach:g} times as far at most)"
            )
        if law is not None:
            return float(law.at(tokens))
        if tokens > last:
            raise CannotFitError(
                f"{tokens:.3g} tokens are beyond the {last:.3g} measured at ratio {self.ratio:g}, and no law could be "
                "fitted there"
            )
        return _between(self.series.tokens, losses, tokens)


def _between(places: Floats, losses: Floats, tokens: float) -> float:
    """A loss between measured tokens, on straight lines over log tokens through the means of points."""
    unique = np.unique(places)
    means = [losses[places == place].mean() for place in unique]
    return float(np.interp(np.log(tokens), np.log(unique), means))


class CurveFitter:
    """Fits both laws to one series, and again to resampled losses at the same tokens."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self._domain = _or_reason(lambda: PowerFitter(_enough(series)))
        self._general = _or_reason(lambda: TwoTermFitter(_enough(series)))

    def domain(self) -> PowerFit:
        """Delta L_dom(T) = alpha1 T^s1 + beta1. Raises CannotFitError."""
        fit = _value(self._domain).fit(self.series.domain)
        require_movement(fit.law.at(self.series.tokens), fit.goodness.noise, "domain loss")
        return fit

    def general(self) -> TwoTermFit:
        """Delta L_gen(T) = alpha2 T^s2 + alpha3 T^s3 + beta2. Raises CannotFitError."""
        fit = _value(self._general).fit(self.series.general)
        require_movement(fit.law.at(self.series.tokens), fit.goodness.noise, "general loss")
        return fit

    def again(self, like: RatioCurves, general: Floats, domain: Floats) -> RatioCurves:
        """The laws that `like` has, fitted to other losses at the same tokens."""
        return RatioCurves(
            replace(self.series, general=general, domain=domain),
            None if like.domain_law is None else _value(self._domain).law(domain),
            None if like.general_law is None else _value(self._general).law(general),
        )


def _enough(series: Series) -> Floats:
    """The tokens of a series that a law can be fitted to. Raises CannotFitError."""
    points = len(np.unique(series.tokens))
    if points < LEAST_POINTS:
        raise CannotFitError(
            f"a law over tokens needs at least {LEAST_POINTS} evaluations after the warm-up, and there are {points}. "
            "Evaluate more often"
        )
    if series.last < LEAST_SPAN * series.first:
        raise CannotFitError(
            f"the evaluations after the warm-up span from {series.first:.3g} to {series.last:.3g} tokens, less than a "
            f"factor of {LEAST_SPAN:g}. Train longer, or evaluate earlier"
        )
    return series.tokens


def _or_reason(make: Callable[[], T]) -> T | CannotFitError:
    try:
        return make()
    except CannotFitError as error:
        return error


def _value(made: T | CannotFitError) -> T:
    if isinstance(made, CannotFitError):
        raise made
    return made
