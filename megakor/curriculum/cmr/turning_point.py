"""T0: where the trade of general against domain loss turns for the better.

F(T) = L_dom(T) + lambda (L_gen(T) - tolerance) rises at first, because general loss is lost faster than domain loss is
gained, and falls later. T0 is where it turns: dL_gen / dL_dom = -1 / lambda there. A larger lambda moves it towards the
peak of the general loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import brentq

from megakor.curriculum.cmr.goodness import Floats

_POINTS = 1000
FROM_START, NEVER = "from the start", "never"


class Curve(Protocol):
    """A loss over tokens."""

    def slope(self, x: Floats | float) -> Floats:
        """Its derivative."""


@dataclass(frozen=True)
class TurningPoint:
    """T0 of one ratio. `tokens` is 0 where F falls at every measured point, infinite where it never falls."""

    tokens: float
    extrapolated: bool = False
    """It lies beyond the measured tokens."""

    @property
    def words(self) -> str:
        """For people: in words where it is no number."""
        if self.tokens == 0:
            return FROM_START
        return NEVER if np.isinf(self.tokens) else f"{self.tokens:.3g}"


def turning_point(
    domain: Curve, general: Curve, weight: float, first: float, last: float, reach: float
) -> TurningPoint:
    """T0 for lambda = `weight`, from slopes between the `first` and the `last` measured tokens.

    Where F still rises at the last one, T0 is looked for up to `reach` times as far, and said to be extrapolated.
    """

    def slope(tokens: Floats | float) -> Floats:
        return domain.slope(tokens) + weight * general.slope(tokens)

    inside = np.geomspace(first, last, _POINTS)
    rises = slope(inside) > 0
    if not rises[-1]:
        turns = np.flatnonzero(rises[:-1] & ~rises[1:])
        return TurningPoint(_root(slope, inside, turns[-1])) if len(turns) else TurningPoint(0.0)
    beyond = np.geomspace(last, last * reach, _POINTS)
    rises = slope(beyond) > 0
    turns = np.flatnonzero(rises[:-1] & ~rises[1:])
    return TurningPoint(_root(slope, beyond, turns[0]), True) if len(turns) else TurningPoint(np.inf, True)


def _root(slope: object, grid: Floats, index: int) -> float:
    return float(brentq(slope, grid[index], grid[index + 1]))
