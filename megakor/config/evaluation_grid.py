"""When a run is evaluated: a grid over tokens, which a phase may replace by one of its own."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from megakor.config.phases import PhaseSpan, batch_ends, phases_of
from megakor.config.schema import Config


@dataclass(frozen=True)
class _Stretch:
    """One phase with the grid that holds in it. A point belongs to the phase that begins there, not to the one that
    ends."""

    start: int
    stop: int
    origin: int
    """What the points are counted from: 0, or the start of the phase."""
    every: int | None
    points: tuple[int, ...]
    rhythms: tuple[int, ...]
    """Further points are all multiples of these, counted from the start of the phase: where its controllers decide."""

    def holds_one(self, before: int, after: int) -> bool:
        """Whether a point lies in (before, after] tokens."""
        low = max(before, self.start - 1) - self.origin
        high = min(after, self.stop - 1) - self.origin
        if high <= low:
            return False
        inside = self.origin - self.start
        return (
            crosses(self.every, low, high)
            or any(low < point <= high for point in self.points)
            or any(crosses(rhythm, low + inside, high + inside) for rhythm in self.rhythms)
        )

    def before(self, end: int) -> set[int]:
        """All points before `end` tokens."""
        stop = min(self.stop, end)
        found = {self.origin + point for point in self.points}
        for first, every in ((self.origin, self.every), *((self.start, rhythm) for rhythm in self.rhythms)):
            if every is not None:
                found.update(range(first + (self.start - first) // every * every, stop, every))
        return {point for point in found if self.start <= point < stop}


@dataclass(frozen=True)
class EvaluationGrid:
    """The points of a run. Where it is evaluated is the first batch boundary at or after a point; its beginning and its
    end are always points."""

    stretches: tuple[_Stretch, ...]

    @classmethod
    def compile(cls, config: Config, phases: Sequence[PhaseSpan]) -> EvaluationGrid:
        """The grid of a config. With a grid of its own, the start of a phase is a point: what follows is measured
        against it. So is the start of a phase with controllers, for them."""
        stretches = []
        for span in phases:
            own = config.data.phases[span.index].evaluation if config.data.phases else None
            grid = own or config.evaluation
            points = tuple(sorted(grid.early)) if own is None else (0, *sorted(own.early))
            origin = 0 if own is None else span.start
            if span.controllers is not None:
                points = (*points, span.start - origin)
            # The last phase may become longer, and a point between its end and that of its last batch counts then, too.
            stop = span.stop if span is not phases[-1] else sys.maxsize
            stretches.append(_Stretch(span.start, stop, origin, grid.every, points, _rhythms(span)))
        return cls(tuple(stretches))

    def period_at(self, tokens: int) -> int:
        """What an evaluation at these tokens is measured against is the first one from here on: the start of the newest
        phase with a grid of its own, else of the run."""
        return max(stretch.origin for stretch in self.stretches if stretch.start <= max(tokens, 0))

    def is_due(self, before: int, after: int) -> bool:
        """Whether a point lies in (before, after] tokens."""
        return any(stretch.holds_one(before, after) for stretch in self.stretches)

    def before(self, end: int) -> list[int]:
        """All points before `end` tokens, in order."""
        return sorted(set[int]().union(*(stretch.before(end) for stretch in self.stretches)))


def evaluated_at(config: Config) -> list[int]:
    """Where a run is evaluated if it goes as its config plans, in tokens."""
    runs = list(batch_ends(config))
    end = runs[-1][-1]
    points, found = deque(EvaluationGrid.compile(config, phases_of(config)).before(end)), {0, end}
    for ends in runs:
        while points and points[0] <= ends[-1]:
            point = points.popleft()
            found.add(ends.start + max(0, -(-(point - ends.start) // ends.step)) * ends.step if point else 0)
    return sorted(found)


def _rhythms(span: PhaseSpan) -> tuple[int, ...]:
    found = (span.controllers.replay, span.controllers.reweighting) if span.controllers is not None else ()
    return tuple(settings.every for settings in found if settings is not None and settings.every is not None)


def crosses(every: int | None, before: int, after: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return every is not None and after // every > before // every
