"""When replay is raised and when it is lowered: a switch with a dead band, so that it does not chatter.

With d the general loss above its reference, in nats per token:

    d > tolerance                        the ratio goes up by a step
    d <= release, `patience` in a row    it goes down by a step
    in between                           it stays

and it never leaves its bounds. After a step up, d has to fall by more than tolerance - release before a step down.
"""

from __future__ import annotations

from typing import NamedTuple

from megakor.config.controllers import lowest_ratio, release_of
from megakor.config.schema_controllers import ReplayControllerConfig


class Turn(NamedTuple):
    """What a decision leaves behind."""

    ratio: float
    calm: int
    """Decisions in a row at or below `release`, counted anew after each step down."""


def next_ratio(settings: ReplayControllerConfig, begins: float, now: Turn, rise: float) -> Turn:
    """One decision.

    Args:
        begins: the ratio that the phase begins with.
        rise: d, finite.
    """
    ratio, calm = now.ratio, now.calm + 1 if rise <= release_of(settings) else 0
    if rise > settings.tolerance:
        ratio += settings.step
    elif calm >= settings.patience:
        ratio, calm = ratio - settings.step, 0
    return Turn(min(settings.maximum, max(lowest_ratio(settings, begins), round(ratio, 12))), calm)
