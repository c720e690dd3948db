"""How far a fit can be trusted, and the error that says why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ILL_CONDITIONED = 1e4
"""Above this a change of the data by a thousandth of its size may change a parameter by ten times its own."""
MOVES = 3.0
"""A loss moves when its range is at least this many standard deviations of what a fit leaves over."""


class CannotFitError(ValueError):
    """These measurements do not determine this law; the message says why and what would."""


@dataclass(frozen=True)
class Goodness:
    """What a fit leaves over."""

    points: int
    parameters: int
    r_squared: float
    """Share of the variance that is explained."""
    noise: float
    """Standard deviation of the residuals (nats per token), for the degrees of freedom left; NaN without any."""
    condition: float
    """Condition number of the Jacobian with columns of length 1."""
    at_bound: bool
    """An exponent lies on the bound of its range: the data are not of this form, or do not determine it."""

    @property
    def ill_conditioned(self) -> bool:
        """The curve may be good, but its single parameters mean nothing."""
        return self.condition > ILL_CONDITIONED


def goodness_of(measured: Floats, fitted: Floats, jacobian: Floats, at_bound: bool) -> Goodness:
    """Goodness of `fitted` (n) for `measured` (n); `jacobian` is (n, parameters)."""
    points, parameters = jacobian.shape
    squares = float(np.sum((measured - fitted) ** 2))
    total = float(np.sum((measured - measured.mean()) ** 2))
    free = points - parameters
    return Goodness(
        points=points,
        parameters=parameters,
        r_squared=1 - squares / total if total > 0 else math.nan,
        noise=math.sqrt(squares / free) if free > 0 else math.nan,
        condition=_condition(jacobian),
        at_bound=at_bound,
    )


def _condition(jacobian: Floats) -> float:
    lengths = np.linalg.norm(jacobian, axis=0)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        return math.inf
    return float(np.linalg.cond(jacobian / lengths))


def require_movement(fitted: Floats, noise: float, name: str) -> None:
    """Raises CannotFitError when a fitted curve does not move beyond what it leaves over."""
    moved = float(np.ptp(fitted))
    if not moved > 0 or (math.isfinite(noise) and moved < MOVES * noise):
        raise CannotFitError(
            f"the {name} moves by {moved:.2g} nats over this range, and a fit leaves {noise:.2g} over: nothing "
            "can be fitted. Train longer, evaluate on more text, or take ratios that are further apart"
        )
