"""The plan of a run: what every phase reads of every source, and where a source comes to its cap.

It follows the intended mixture, which the stream keeps to within 1 + ln(number of sources) rows of a source. Tokens are
exact for that mixture where weights are constant or no source is closed; elsewhere a ramp is followed in short pieces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from megakor.config.phases import PhaseSpan, PhaseSteps

_PIECES = 1024
"""In which a ramp is followed."""


@dataclass(frozen=True)
class Supply:
    """What a source can give."""

    epoch_tokens: int
    documents: int
    """Of an epoch."""
    cap: float = math.inf
    """Tokens in all, over the run."""
    exhausted: str = "redistribute"


@dataclass(frozen=True)
class Closing:
    """A source comes to its cap at token `at` of the run; `heirs` get its share where the run goes on."""

    source: str
    phase: str
    at: int
    exhausted: str
    heirs: tuple[str, ...]


@dataclass(frozen=True)
class PhasePlan:
    """What one phase reads of each source, in tokens, and what each source had given before it."""

    phase: PhaseSpan
    steps: int
    tokens: Mapping[str, float]
    before: Mapping[str, float]


@dataclass
class Plan:
    """All phases that are reached, the closings in order, and where the run ends early, if it does."""

    phases: list[PhasePlan] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    ends_at: int | None = None

    def totals(self) -> dict[str, float]:
        """Tokens of each source over the whole run."""
        names = dict.fromkeys(name for phase in self.phases for name in phase.tokens)
        return {name: math.fsum(phase.tokens.get(name, 0.0) for phase in self.phases) for name in names}


def plan_of(steps: Sequence[PhaseSteps], supplies: Mapping[str, Supply]) -> Plan:
    """The plan of phases whose weights are known. A source without a supply has no cap."""
    plan = Plan()
    left = {name: supply.cap for name, supply in supplies.items()}
    given: dict[str, float] = {}
    for counted in steps:
        before = dict(given)
        for start, stop, shares in _pieces(counted):
            _read(plan, counted.phase, (start, stop), shares, left, supplies, given)
            if plan.ends_at is not None:
                break
        tokens = {name: total - before.get(name, 0.0) for name, total in given.items() if total > before.get(name, 0.0)}
        plan.phases.append(PhasePlan(counted.phase, counted.steps, tokens, before))
        if plan.ends_at is not None:
            break
    return plan


def _pieces(counted: PhaseSteps) -> list[tuple[int, int, dict[str, float]]]:
    """The clock of a phase in pieces of one mixture: all of it where nothing moves."""
    count = 1 if counted.phase.ramp is None else min(_PIECES, max(counted.tokens, 1))
    edges = [counted.start + counted.tokens * part // count for part in range(count + 1)]
    return [(low, high, counted.phase.shares(low, high)) for low, high in pairwise(edges) if high > low]


def _read(
    plan: Plan,
    phase: PhaseSpan,
    clock: tuple[int, int],
    shares: Mapping[str, float],
    left: dict[str, float],
    supplies: Mapping[str, Supply],
    given: dict[str, float],
) -> None:
    """Give the tokens of one piece to the sources that are open, closing those that come to their caps in it."""
    position, stop = float(clock[0]), clock[1]
    while position < stop:
        open_now = {name: share for name, share in shares.items() if left.get(name, math.inf) > 0}
        if not open_now:
            plan.ends_at = round(position)
            return
        total = math.fsum(open_now.values())
        reach = {name: left.get(name, math.inf) * total / share for name, share in open_now.items()}
        first = min(reach, key=lambda name: reach[name])
        length = min(stop - position, reach[first])
        for name, share in open_now.items():
            part = length * share / total
            given[name] = given.get(name, 0.0) + part
            if name in left:
                left[name] -= part
        position += length
        if length == reach[first]:
            left[first] = 0.0
            heirs = tuple(name for name in open_now if name != first)
            plan.closings.append(Closing(first, phase.name, round(position), supplies[first].exhausted, heirs))
            if supplies[first].exhausted != "redistribute" and position < stop:
                plan.ends_at = round(position)
                return
