"""Sweeps with a known truth: the general loss rises and falls back, later and higher the more domain text there is."""

from __future__ import annotations

import numpy as np

from megakor.curriculum.cmr.measurements import Measurements, SweepRun

UNIT = 2e8
LAST = 20_000_000_000
RATIOS = (0.125, 0.25, 1 / 3, 0.5, 0.75)
GENERAL_BASE, DOMAIN_BASE = 2.4, 3.0


def general_change(tokens: np.ndarray | float, ratio: float) -> np.ndarray:
    """Peaks at `peak(ratio)` with a height that grows with the ratio."""
    x = np.asarray(tokens, float) / peak(ratio)
    return np.asarray(0.12 * ratio * (3.5 * x**0.4 - 2 * x**0.7))


def peak(ratio: float) -> float:
    """Tokens of the largest general loss; where T0 goes for a large lambda."""
    return 100 * UNIT * ratio


def domain_change(tokens: np.ndarray | float, ratio: float) -> np.ndarray:
    return np.asarray(-0.2 * ratio**0.3 * (np.asarray(tokens, float) / UNIT) ** 0.2)


def sweep(
    noise: float = 0.0,
    seed: int = 0,
    ratios: tuple[float, ...] = RATIOS,
    points: int = 40,
    last: int = LAST,
    repeats: int = 1,
    between: float = 0.0,
) -> Measurements:
    """`noise` is that of an evaluation, `between` that of a whole run (nats)."""
    random = np.random.default_rng(seed)
    tokens = np.round(np.linspace(last / points, last, points))
    runs = []
    for ratio in ratios:
        for repeat in range(repeats):
            general = GENERAL_BASE + general_change(tokens, ratio) + between * random.normal()
            domain = DOMAIN_BASE + domain_change(tokens, ratio)
            general, domain = (loss + noise * random.normal(size=points) for loss in (general, domain))
            name = f"ratio-{ratio:.3f}-{repeat}"
            curves = (tuple(map(float, general)), tuple(map(float, domain)))
            runs.append(SweepRun(name, ratio, GENERAL_BASE, DOMAIN_BASE, tuple(map(int, tokens)), *curves, seed=repeat))
    return Measurements(tuple(runs))
