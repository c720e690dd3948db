"""Intervals by a bootstrap: residuals of the curves over tokens are redrawn in blocks, and everything is fitted again.

Neighbouring evaluations of one run err together, so residuals are drawn in blocks of consecutive points; the general
and the domain residual of a point stay together. Runs also differ as a whole: where ratios are repeated with other
seeds, or a law over ratios leaves something over, that noise is added to each run's general loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from megakor.curriculum.cmr.critical import Critical, Question, critical_ratio
from megakor.curriculum.cmr.curves import CurveFitter, RatioCurves, Series
from megakor.curriculum.cmr.goodness import CannotFitError, Floats
from megakor.curriculum.cmr.power_law import PowerLaw
from megakor.curriculum.cmr.two_term_law import TwoTermLaw

MOST_FAILURES = 0.2
"""Share of replicates without an answer above which there is no interval."""


@dataclass(frozen=True)
class Interval:
    """Between two quantiles of the replicates. An end that is infinite is beyond everything measured."""

    low: float
    high: float
    level: float

    def holds(self, values: Sequence[float]) -> bool:
        """All of the values lie in it: it says nothing about where among them."""
        return self.low <= min(values) and max(values) <= self.high


@dataclass(frozen=True)
class RunNoise:
    """How far whole runs of one ratio differ in general loss (nats)."""

    scale: float
    freedom: int
    """Degrees of freedom that the scale was estimated with."""
    origin: str
    """For people."""


@dataclass(frozen=True)
class Replicates:
    """What the bootstrap found."""

    critical: tuple[Critical, ...]
    asked: int

    @property
    def failed(self) -> float:
        """Share of replicates without an answer."""
        return 1 - len(self.critical) / self.asked if self.asked else 1.0

    def ratio(self, level: float) -> Interval | None:
        """Of R*; None when too many replicates failed."""
        return self._interval([one.ordered for one in self.critical], level)

    def turning(self, index: int, level: float) -> Interval | None:
        """Of T0 of the ratio with this index."""
        points = [one.judged[index].turning for one in self.critical]
        return self._interval([point.tokens for point in points if point is not None], level)

    def general(self, index: int, level: float) -> Interval | None:
        """Of the general loss's change at the budget, for the ratio with this index."""
        return self._interval([one.judged[index].general for one in self.critical], level)

    def _interval(self, values: Sequence[float], level: float) -> Interval | None:
        if not values or self.failed > MOST_FAILURES:
            return None
        tail = (1 - level) / 2
        low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
        return Interval(float(low), float(high), level)


def replicate(
    fitters: Sequence[CurveFitter],
    curves: Sequence[RatioCurves],
    question: Question,
    noise: RunNoise | None,
    count: int,
    seed: int,
) -> Replicates:
    """Fits `count` resampled sweeps."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        drawn = [_redrawn(fitter, one, random) for fitter, one in zip(fitters, curves, strict=True)]
        offsets = None
        if noise is not None:
            runs = np.array([len(one.series.lengths) for one in curves])
            offsets = noise.scale * random.standard_t(noise.freedom, len(curves)) / np.sqrt(runs)
        try:
            found.append(critical_ratio(drawn, question, offsets))
        except CannotFitError:
            continue
    return Replicates(tuple(found), count)


def _redrawn(fitter: CurveFitter, curves: RatioCurves, random: np.random.Generator) -> RatioCurves:
    series = curves.series
    order = _blocks(series, random)
    general = _resampled(series.general, curves.general_law, series, order, random)
    domain = _resampled(series.domain, curves.domain_law, series, order, random)
    return fitter.again(curves, general, domain)


def _resampled(
    losses: Floats,
    law: PowerLaw | TwoTermLaw | None,
    series: Series,
    order: NDArray[np.intp],
    random: np.random.Generator,
) -> Floats:
    """The fitted curve with its residuals in another order, widened by the freedom that the fit took from them.

    Where no law was fitted, noise of the size of the losses' second differences is added to them.
    """
    if law is None:
        return losses + _roughness(losses, series.lengths) * random.standard_normal(len(losses))
    parameters = 5 if isinstance(law, TwoTermLaw) else 3
    fitted = law.at(series.tokens)
    residuals = losses - fitted
    widened = (residuals - residuals.mean()) * math.sqrt(len(losses) / max(len(losses) - parameters, 1))
    return np.asarray(fitted + widened[order])


def _roughness(losses: Floats, lengths: Sequence[int]) -> float:
    """Standard deviation of a point by second differences, to which a smooth curve adds little; 0 for short runs.

    The variance of y[i-1] - 2 y[i] + y[i+1] is six times that of a point.
    """
    bends = [np.diff(piece, 2) for piece in np.split(losses, np.cumsum(lengths)[:-1])]
    together = np.concatenate(bends)
    return float(np.sqrt(np.mean(together**2) / 6)) if len(together) else 0.0


def _blocks(series: Series, random: np.random.Generator) -> NDArray[np.intp]:
    """Indices of points, drawn with replacement in blocks of consecutive ones, inside each run."""
    drawn, start = [], 0
    for length in series.lengths:
        size = max(1, round(length ** (1 / 3)))
        starts = random.integers(0, length - size + 1, -(-length // size))
        drawn.append(start + (starts[:, None] + np.arange(size)).ravel()[:length])
        start += length
    return np.concatenate(drawn)
