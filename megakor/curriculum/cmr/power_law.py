"""y = alpha x^s + beta, fitted by a search over s in which alpha and beta are solved for.

Inside, the law is written level + amplitude ((x / unit)^s - 1) / s, which has a limit at s = 0 (a logarithm) where
alpha and beta grow without bound. It is the same family of curves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from megakor.curriculum.cmr.goodness import CannotFitError, Floats, Goodness, goodness_of

EXPONENTS = (-1.5, 1.5)
"""Range of s over tokens."""
_STEP = 0.025
_LOGARITHM = 1e-7
"""Exponents nearer to 0 are taken for it."""


def basis(x: Floats | float, exponent: float) -> Floats:
    """(x^s - 1) / s."""
    logarithm = np.log(x)
    if abs(exponent) < _LOGARITHM:
        return np.asarray(logarithm)
    return np.asarray(np.expm1(exponent * logarithm) / exponent)


@dataclass(frozen=True)
class PowerLaw:
    """A fitted curve. `unit` is what x is divided by."""

    amplitude: float
    exponent: float
    level: float
    """Its value at x = unit."""
    unit: float

    def at(self, x: Floats | float) -> Floats:
        """Its values."""
        return self.level + self.amplitude * basis(np.asarray(x, float) / self.unit, self.exponent)

    def slope(self, x: Floats | float) -> Floats:
        """Its derivative by x."""
        return np.asarray(self.amplitude * (np.asarray(x, float) / self.unit) ** (self.exponent - 1) / self.unit)

    def alpha_s_beta(self, unit: float) -> tuple[float, float, float]:
        """The three constants of alpha (x / unit)^s + beta; NaN for those that are infinite (s = 0)."""
        if abs(self.exponent) < _LOGARITHM:
            return math.nan, self.exponent, math.nan
        alpha = self.amplitude / self.exponent
        return alpha * (unit / self.unit) ** self.exponent, self.exponent, self.level - alpha


@dataclass(frozen=True)
class PowerFit:
    """A law with what it leaves over."""

    law: PowerLaw
    goodness: Goodness
    residuals: Floats


class PowerFitter:
    """Fits many series of values at the same `x` (positive, at least 3 different ones).

    Raises CannotFitError for fewer.
    """

    def __init__(self, x: Floats, exponents: tuple[float, float] = EXPONENTS) -> None:
        different = len(np.unique(x))
        if different < 3:
            raise CannotFitError(
                f"a law of three constants needs at least 3 different points, and there are {different}"
            )
        self.x, self.exponents = x, exponents
        self.unit = float(np.exp(np.mean(np.log(x))))
        low, high = exponents
        self._grid = np.linspace(low, high, round((high - low) / _STEP) + 1)
        waves = np.stack([basis(x / self.unit, exponent) for exponent in self._grid])
        centred = waves - waves.mean(axis=1, keepdims=True)
        self._directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def law(self, y: Floats) -> PowerLaw:
        """The law of least squares. Every local minimum on a grid of exponents is refined; the best one counts."""
        explained = (self._directions @ (y - y.mean())) ** 2
        padded = np.concatenate([[-np.inf], explained, [-np.inf]])
        peaks = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]))
        refined = [self._refine(y, int(peak)) for peak in peaks[np.argsort(-explained[peaks])][:3]]
        exponent = min(refined, key=lambda found: self._squares(y, found))
        amplitude, level = self._solve(y, exponent)
        return PowerLaw(amplitude, exponent, level, self.unit)

    def fit(self, y: Floats) -> PowerFit:
        """The law and how good it is."""
        law = self.law(y)
        low, high = self.exponents
        at_bound = min(law.exponent - low, high - law.exponent) < _STEP / 10
        fitted = law.at(self.x)
        return PowerFit(law, goodness_of(y, fitted, self._jacobian(law), at_bound), y - fitted)

    def _refine(self, y: Floats, index: int) -> float:
        low, high = self._grid[max(index - 1, 0)], self._grid[min(index + 1, len(self._grid) - 1)]
        found = minimize_scalar(
            lambda s: self._squares(y, s), bounds=(low, high), method="bounded", options={"xatol": 1e-9}
        )
        return min((float(found.x), float(self._grid[index])), key=lambda s: self._squares(y, s))

    def _solve(self, y: Floats, exponent: float) -> tuple[float, float]:
        wave = basis(self.x / self.unit, exponent)
        centred = wave - wave.mean()
        amplitude = float(centred @ (y - y.mean()) / (centred @ centred))
        return amplitude, float(y.mean() - amplitude * wave.mean())

    def _squares(self, y: Floats, exponent: float) -> float:
        amplitude, level = self._solve(y, exponent)
        return float(np.sum((y - level - amplitude * basis(self.x / self.unit, exponent)) ** 2))

    def _jacobian(self, law: PowerLaw) -> Floats:
        """Derivatives by alpha, s and beta: what is asked is how well these are determined."""
        x = self.x / self.unit
        wave = x**law.exponent
        return np.stack([wave, wave * np.log(x), np.ones_like(x)], axis=1)
