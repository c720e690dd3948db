"""y = a2 x^s2 + a3 x^s3 + b, the law of a general loss that rises and then falls.

Two powers with neighbouring exponents and opposite signs look alike: five constants are rarely determined one by one,
while the curve is. Exponents are kept `GAP` apart, and the condition number says what single constants are worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from megakor.curriculum.cmr.goodness import CannotFitError, Floats, Goodness, goodness_of
from megakor.curriculum.cmr.power_law import EXPONENTS, basis

GAP = 0.1
"""Least distance of the two exponents."""
PARAMETERS = 5
_STARTS = 4
_GRID = 31


@dataclass(frozen=True)
class TwoTermLaw:
    """level + sum of amplitude ((x / unit)^s - 1) / s over both terms."""

    amplitudes: tuple[float, float]
    exponents: tuple[float, float]
    level: float
    unit: float

    def at(self, x: Floats | float) -> Floats:
        """Its values."""
        scaled = np.asarray(x, float) / self.unit
        terms = (a * basis(scaled, s) for a, s in zip(self.amplitudes, self.exponents, strict=True))
        return np.asarray(self.level + sum(terms))

    def slope(self, x: Floats | float) -> Floats:
        """Its derivative by x."""
        scaled = np.asarray(x, float) / self.unit
        terms = (a * scaled ** (s - 1) for a, s in zip(self.amplitudes, self.exponents, strict=True))
        return np.asarray(sum(terms) / self.unit)

    def constants(self, unit: float) -> tuple[float, float, float, float, float]:
        """(a2, s2, a3, s3, b) of a2 (x / unit)^s2 + a3 (x / unit)^s3 + b; NaN where an exponent is 0."""
        scale = unit / self.unit
        first, second = (
            (a / s if s else math.nan) * scale**s for a, s in zip(self.amplitudes, self.exponents, strict=True)
        )
        level = self.level - sum(a / s if s else math.nan for a, s in zip(self.amplitudes, self.exponents, strict=True))
        return first, self.exponents[0], second, self.exponents[1], level


@dataclass(frozen=True)
class TwoTermFit:
    """A law with what it leaves over."""

    law: TwoTermLaw
    goodness: Goodness
    residuals: Floats


class TwoTermFitter:
    """Fits many series of values at the same `x` (positive). Raises CannotFitError for fewer than 7 different ones."""

    def __init__(self, x: Floats) -> None:
        different = len(np.unique(x))
        if different < PARAMETERS + 2:
            raise CannotFitError(
                f"two terms have {PARAMETERS} constants and need at least {PARAMETERS + 2} evaluations after the "
                f"warm-up, and there are {different}. Evaluate more often"
            )
        self.x, self.unit = x, float(np.exp(np.mean(np.log(x))))
        values = np.linspace(*EXPONENTS, _GRID)
        self._pairs = np.array([(s, t) for s in values for t in values if t - s >= GAP * 0.99])
        bases = np.stack([self._basis(*pair) for pair in self._pairs])
        self._orthogonal = np.linalg.qr(bases)[0]

    def law(self, y: Floats, starts: int = 1) -> TwoTermLaw:
        """The law of least squares, refined from the best `starts` pairs of exponents of a grid."""
        explained = np.sum(np.einsum("pnk,n->pk", self._orthogonal, y) ** 2, axis=1)
        chosen = self._apart(np.argsort(-explained), starts)
        found = [least_squares(self._left, self._packed(*pair), bounds=_BOX, args=(y,), xtol=1e-10) for pair in chosen]
        first, second = _unpacked(min(found, key=lambda one: one.cost).x)
        coefficients = np.linalg.lstsq(self._basis(first, second), y, rcond=None)[0]
        a, b, level = (float(value) for value in coefficients)
        return TwoTermLaw((a, b), (first, second), level, self.unit)

    def fit(self, y: Floats) -> TwoTermFit:
        """The law from several starts, and how good it is."""
        law = self.law(y, _STARTS)
        low, high = EXPONENTS
        first, second = law.exponents
        at_bound = first - low < 0.01 or high - second < 0.01 or second - first < GAP * 1.01
        fitted = law.at(self.x)
        return TwoTermFit(law, goodness_of(y, fitted, self._jacobian(law), at_bound), y - fitted)

    def _apart(self, order: NDArray[np.intp], count: int) -> list[Floats]:
        """The first pairs of an order, none within 0.3 of an earlier one."""
        chosen: list[Floats] = []
        for index in order:
            pair = self._pairs[int(index)]
            if all(np.max(np.abs(pair - other)) >= 0.3 for other in chosen):
                chosen.append(pair)
            if len(chosen) == count:
                break
        return chosen

    def _basis(self, first: float, second: float) -> Floats:
        x = self.x / self.unit
        return np.stack([basis(x, first), basis(x, second), np.ones_like(x)], axis=1)

    def _left(self, packed: Floats, y: Floats) -> Floats:
        matrix = np.linalg.qr(self._basis(*_unpacked(packed)))[0]
        return np.asarray(y - matrix @ (matrix.T @ y))

    @staticmethod
    def _packed(first: float, second: float) -> Floats:
        room = EXPONENTS[1] - GAP - first
        share = (second - first - GAP) / room if room > 0 else 0.0
        return np.clip([first, share], np.array(_BOX[0]) + 1e-6, np.array(_BOX[1]) - 1e-6)

    def _jacobian(self, law: TwoTermLaw) -> Floats:
        """Derivatives by the five constants of a2 x^s2 + a3 x^s3 + b."""
        x = self.x / self.unit
        waves = [x**exponent for exponent in law.exponents]
        return np.stack([*waves, *(wave * np.log(x) for wave in waves), np.ones_like(x)], axis=1)


_BOX = ((EXPONENTS[0], 0.0), (EXPONENTS[1] - GAP, 1.0))


def _unpacked(packed: Floats) -> tuple[float, float]:
    """(lower exponent, share of the room above it) -> both exponents, at least GAP apart and inside their range."""
    first, share = float(packed[0]), float(packed[1])
    return first, first + GAP + share * (EXPONENTS[1] - GAP - first)
