"""What is asked of a fit."""

from __future__ import annotations

from dataclasses import dataclass

EPSILONS = (0.01, 0.02, 0.05, 0.1)
"""Tolerances of the sensitivity table (nats)."""
WEIGHTS = (100.0, 1000.0, 7000.0)
"""Lambdas of the sensitivity table: the paper's range."""


@dataclass(frozen=True)
class Settings:
    """The defaults are the paper's where it has one."""

    tokens: int | None = None
    """T_max: the budget that is planned for. Default: the longest that every run has reached."""
    epsilon: float = 0.05
    """The general loss may rise by this much (nats per token). No downstream measure stands behind 0.05."""
    weight: float = 1000.0
    """lambda: what a nat of general loss is worth in nats of domain loss."""
    unit: int = 200_000_000
    """Tokens that constants are printed for."""
    level: float = 0.95
    """Of the intervals."""
    replicates: int = 200
    """Of the bootstrap; 0 leaves it out."""
    seed: int = 0
    reach: float = 10.0
    """Curves are extrapolated to this many times the measured tokens, and no further."""
