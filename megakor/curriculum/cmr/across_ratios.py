"""L(R) = alpha R^s + beta: a loss over mixture ratios, at one number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megakor.curriculum.cmr.goodness import CannotFitError, Floats, require_movement
from megakor.curriculum.cmr.power_law import PowerFit, PowerFitter

EXPONENTS = (-3.0, 6.0)
"""Range of s over ratios. General loss bends upwards towards a ratio of 1."""
LEAST_RATIOS = 4


@dataclass(frozen=True)
class HeldOut:
    """A ratio left out of the fit, and what the law of the others says of it."""

    ratio: float
    measured: float
    predicted: float
    outside: bool
    """It lies outside the range of the others."""

    @property
    def error(self) -> float:
        """Relative to the measured loss."""
        return abs(self.predicted / self.measured - 1)


def fitter_across(ratios: Sequence[float], exclude_one: bool) -> tuple[Floats, PowerFitter]:
    """(which ratios take part, a fitter for losses at these).

    A ratio of 1 is an end point: without any general text the general loss is not on the law. Raises CannotFitError
    for fewer than four ratios.
    """
    taking_part = np.array([not (exclude_one and ratio >= 1) for ratio in ratios], dtype=bool)
    chosen = np.array(ratios, float)[taking_part]
    if len(np.unique(chosen)) < LEAST_RATIOS:
        below = " below 1" if exclude_one else ""
        raise CannotFitError(
            f"a law over ratios needs at least {LEAST_RATIOS} different ones{below}, and there are "
            f"{len(np.unique(chosen))}. Add runs at other ratios"
        )
    return taking_part, PowerFitter(chosen, EXPONENTS)


def fit_law_across(ratios: Sequence[float], losses: Sequence[float], exclude_one: bool) -> PowerFit:
    """The law of `losses` at `ratios`, whether they move or not. Raises CannotFitError."""
    taking_part, fitter = fitter_across(ratios, exclude_one)
    return fitter.fit(np.array(losses, float)[taking_part])


def fit_across(ratios: Sequence[float], losses: Sequence[float], name: str, exclude_one: bool) -> PowerFit:
    """The law of `losses` at `ratios`. Raises CannotFitError, also for losses that do not move."""
    fit = fit_law_across(ratios, losses, exclude_one)
    taking_part = [ratio for ratio in ratios if not (exclude_one and ratio >= 1)]
    require_movement(fit.law.at(np.array(taking_part)), fit.goodness.noise, name)
    return fit


def leave_one_out(ratios: Sequence[float], losses: Sequence[float], exclude_one: bool) -> list[HeldOut]:
    """Each ratio predicted from the others. Raises CannotFitError when fewer than four would be left."""
    different = len({ratio for ratio in ratios if not (exclude_one and ratio >= 1)})
    if different <= LEAST_RATIOS:
        raise CannotFitError(
            f"to hold one ratio out takes {LEAST_RATIOS + 1} different ones, and there are {different}"
        )
    known = [(ratio, loss) for ratio, loss in zip(ratios, losses, strict=True) if not (exclude_one and ratio >= 1)]
    found = []
    for index, (ratio, loss) in enumerate(known):
        rest = known[:index] + known[index + 1 :]
        _, fitter = fitter_across([other for other, _ in rest], exclude_one)
        law = fitter.law(np.array([value for _, value in rest]))
        outside = not min(fitter.x) <= ratio <= max(fitter.x)
        found.append(HeldOut(ratio, loss, float(law.at(ratio)), outside))
    return found
