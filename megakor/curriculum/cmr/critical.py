"""The feasible set of ratios for a budget, and its largest member: the critical mixture ratio R*.

A ratio R is feasible for a budget of T tokens when
  tolerance  L_gen(R, T) <= L_gen(base) + epsilon, by the law over ratios where there is one, and
  turning    T0(R) <= T: the trade has turned for the better before the budget ends, and
  the domain loss at T is below the base's.
R* lies between the largest measured ratio that is feasible and the next one, where the first of these limits is
crossed. It is never taken outside the measured ratios: then it is said to be below the first, or at least the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from megakor.curriculum.cmr.across_ratios import fitter_across
from megakor.curriculum.cmr.curves import RatioCurves
from megakor.curriculum.cmr.goodness import CannotFitError, Floats
from megakor.curriculum.cmr.power_law import PowerLaw
from megakor.curriculum.cmr.turning_point import TurningPoint

INSIDE, AT_LEAST, BELOW = "inside", "at least", "below"
TOLERANCE, TURNING = "tolerance", "turning"


@dataclass(frozen=True)
class Judged:
    """One measured ratio at the budget."""

    ratio: float
    general: float
    """Delta L_gen by the curve of this ratio."""
    expected: float
    """Delta L_gen by the law over ratios, which the tolerance is held against; without a law, the same."""
    domain: float
    """Delta L_dom."""
    turning: TurningPoint | None
    """None: not known, and then not asked for."""
    tolerable: bool
    turned: bool

    @property
    def learns(self) -> bool:
        """The domain loss falls."""
        return self.domain < 0

    @property
    def feasible(self) -> bool:
        """All three conditions hold."""
        return self.tolerable and self.turned and self.learns


@dataclass(frozen=True)
class Critical:
    """R* for one budget, tolerance and lambda."""

    kind: str
    """inside: it lies between measured ratios. at least, below: `ratio` is the last measured one, R* is beyond it."""
    ratio: float
    limit: str | None
    """The condition that is met first: tolerance or turning."""
    judged: tuple[Judged, ...]
    notes: tuple[str, ...] = ()

    @property
    def ordered(self) -> float:
        """For quantiles: infinite where R* is beyond the measured ratios."""
        return {INSIDE: self.ratio, AT_LEAST: math.inf, BELOW: -math.inf}[self.kind]

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.ratio:.3f}" if self.kind == INSIDE else f"{self.kind} {self.ratio:.3g}"


@dataclass(frozen=True)
class Question:
    """What R* is asked for."""

    tokens: float
    epsilon: float
    weight: float
    """lambda."""
    reach: float


def critical_ratio(curves: Sequence[RatioCurves], question: Question, offsets: Floats | None = None) -> Critical:
    """R*. `offsets` are added to the general loss of each ratio (a bootstrap's noise between runs).

    Raises CannotFitError when the budget is out of reach, or the domain is learnt at no ratio.
    """
    generals = np.array([one.general_at(question.tokens, question.reach) for one in curves])
    generals += 0.0 if offsets is None else offsets
    law = _law([one.ratio for one in curves], generals)
    judged = tuple(_judge(one, float(loss), law, question) for one, loss in zip(curves, generals, strict=True))
    learning = [one for one in judged if one.learns]
    if not learning:
        raise CannotFitError("the domain loss does not fall at any ratio: there is nothing to trade. Look at the runs")
    notes = _notes(judged)
    feasible = [index for index, one in enumerate(learning) if one.feasible]
    last = feasible[-1] if feasible else -1
    if last == len(learning) - 1:
        return Critical(AT_LEAST, learning[last].ratio, None, judged, notes)
    above = learning[last + 1]
    if not feasible:
        return Critical(BELOW, above.ratio, TURNING if above.tolerable else TOLERANCE, judged, notes)
    ratio, limit = _crossing(learning[last], above, law, question)
    return Critical(INSIDE, ratio, limit, judged, notes)


def _judge(curves: RatioCurves, general: float, law: PowerLaw | None, question: Question) -> Judged:
    turning = curves.turning(question.weight, question.reach)
    expected = general if law is None or curves.ratio >= 1 else float(law.at(curves.ratio))
    return Judged(
        ratio=curves.ratio,
        general=general,
        expected=expected,
        domain=curves.domain_at(question.tokens, question.reach),
        turning=turning,
        tolerable=expected <= question.epsilon,
        turned=turning is None or turning.tokens <= question.tokens,
    )


def _notes(judged: Sequence[Judged]) -> tuple[str, ...]:
    notes = [
        f"ratio {one.ratio:g} is left out: its domain loss does not fall ({one.domain:+.3g} nats)."
        for one in judged
        if not one.learns
    ]
    learning = [one for one in judged if one.learns]
    top = max((one.ratio for one in learning if one.feasible), default=0.0)
    holes = [f"{one.ratio:g}" for one in learning if not one.feasible and one.ratio < top]
    if holes:
        notes.append(
            f"the feasible set has a hole: {', '.join(holes)} fails, and the larger ratio {top:g} passes. Noise "
            "decides, or the runs differ in more than their ratio."
        )
    return tuple(notes)


def _law(ratios: Sequence[float], generals: Floats) -> PowerLaw | None:
    """Delta L_gen over ratios."""
    try:
        taking_part, fitter = fitter_across(ratios, exclude_one=True)
    except CannotFitError:
        return None
    return fitter.law(generals[taking_part])


def _crossing(below: Judged, above: Judged, law: PowerLaw | None, question: Question) -> tuple[float, str]:
    """Where the first limit between a feasible ratio and the next one, which is not, is crossed."""
    found = []
    if not above.tolerable:
        found.append((_tolerance_crossing(below, above, law, question.epsilon), TOLERANCE))
    if not above.turned:
        found.append((_turning_crossing(below, above, question.tokens), TURNING))
    return min(found)


def _tolerance_crossing(below: Judged, above: Judged, law: PowerLaw | None, epsilon: float) -> float:
    """By the law; without one on a straight line. Towards the end point 1, which is not on the law, the lower ratio."""
    if law is not None and float(law.at(above.ratio)) > epsilon:
        return float(brentq(lambda ratio: float(law.at(ratio)) - epsilon, below.ratio, above.ratio))
    if above.ratio >= 1:
        return below.ratio
    share = (epsilon - below.expected) / (above.expected - below.expected)
    return below.ratio + share * (above.ratio - below.ratio)


def _turning_crossing(below: Judged, above: Judged, tokens: float) -> float:
    """Where T0 = T on a straight line over log T0; the lower ratio where one T0 is no number."""
    assert above.turning is not None, "an unknown T0 is no limit"
    low, high = below.turning.tokens if below.turning else 0.0, above.turning.tokens
    if low <= 0 or not math.isfinite(high):
        return below.ratio
    share = math.log(tokens / low) / math.log(high / low)
    return below.ratio + share * (above.ratio - below.ratio)
