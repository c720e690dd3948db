"""Do all nodes have the same time? Time limits, logs and the age of files are compared across nodes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from megakor.doctor.finding import Finding
from megakor.doctor.places import Place, described
from megakor.doctor.world import World

ROUNDS = 3
TOLERANCE_SECONDS = 2.0


def clocks(world: World) -> list[Finding]:
    """Read all clocks at once, a few times: an exchange that was slow makes clocks look apart, never together.
    Collective."""
    if world.size == 1:
        return []
    rounds = []
    for _ in range(ROUNDS):
        world.gather(None)
        rounds.append(world.gather(time.time()))
    return [clock_finding(world.places, min(rounds, key=lambda times: max(times) - min(times)))]


def clock_finding(places: Sequence[Place], times: Sequence[float]) -> Finding:
    """Judge clocks that were read at the same moment, in seconds."""
    usual = sorted(times)[len(times) // 2]
    apart = [rank for rank in range(len(times)) if abs(times[rank] - usual) > TOLERANCE_SECONDS]
    if not apart:
        return Finding("clock", f"all within {max(times) - min(times):.2g} s")
    far = max(abs(times[rank] - usual) for rank in apart)
    return Finding("clock", f"{described(places[rank] for rank in apart)}: {far:.0f} s off", "start chrony or ntpd")
