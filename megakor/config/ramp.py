"""Mixtures that move: shares of sources along a ramp, as means over ranges of the token clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_GRID = 1 << 34
"""Means are rounded to multiples of 1 / this, so that the last digit of a cosine on another machine does not matter."""

_AREAS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x * x / 2,
    "cosine": lambda x: x / 2 - math.sin(math.pi * x) / (2 * math.pi),
}
"""Area under each shape between 0 and x in [0, 1]: the shapes rise from 0 to 1."""


@dataclass(frozen=True)
class Ramp:
    """A way from the shares at token `start` of the run to those of `end` at token `stop`, held after it."""

    end: Mapping[str, float]
    """Share of each source after the ramp; the sum is 1, and sources of weight zero are left out."""
    shape: str
    """linear, cosine (half a cosine), or step."""
    start: int
    stop: int
    steps: int = 2
    """step only: levels of equal length, the first at the beginning's shares, the last at the end's."""

    def passed(self, start: int, stop: int) -> float:
        """How much of the way has been made, 0 to 1: the mean over tokens [start, stop) of the run, exactly."""
        length = self.stop - self.start
        if length <= 0 or stop <= start:
            return 0.0 if start < self.stop else 1.0
        area = self._area((stop - self.start) / length) - self._area((start - self.start) / length)
        return min(1.0, max(0.0, round(area * length / (stop - start) * _GRID) / _GRID))

    def _area(self, x: float) -> float:
        """Area under the shape up to x, which may lie outside the ramp: 0 before it, 1 after it."""
        inside, after = min(max(x, 0.0), 1.0), max(x - 1.0, 0.0)
        if self.shape == "step":
            return after + _area_of_steps(inside, self.steps)
        return after + _AREAS[self.shape](inside)

    def describe(self) -> dict[str, Any]:
        """As plain values; `from_description` reads them back."""
        fields = {"end": dict(self.end), "shape": self.shape, "start": self.start, "stop": self.stop}
        return fields | ({"steps": self.steps} if self.shape == "step" else {})

    @classmethod
    def from_description(cls, fields: Mapping[str, Any]) -> Ramp:
        """The way back from `describe`."""
        return cls(fields["end"], fields["shape"], fields["start"], fields["stop"], fields.get("steps", 2))


def _area_of_steps(x: float, steps: int) -> float:
    """Area under a stair of `steps` levels 0, 1 / (steps - 1), ..., 1, each 1 / steps wide."""
    level = min(int(x * steps), steps - 1)
    below = level * (level - 1) / 2 / steps
    return (below + level * (x - level / steps)) / (steps - 1)


def mean_shares(weights: Mapping[str, float], ramp: Ramp | None, start: int, stop: int) -> dict[str, float]:
    """Mean share of each source over tokens [start, stop), from `weights` along `ramp`. The sum is 1."""
    if ramp is None:
        return dict(weights)
    passed = ramp.passed(start, stop)
    names = [*weights, *(name for name in ramp.end if name not in weights)]
    shares = {name: (1 - passed) * weights.get(name, 0.0) + passed * ramp.end.get(name, 0.0) for name in names}
    return {name: share for name, share in shares.items() if share > 0}


def shares_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights scaled to a sum of 1; those of zero are left out."""
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}
