"""What this rank is doing, how far it has come, and how long that may take. Written by the main thread, read by the
watchdog's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

START, STEP, EVALUATION, CHECKPOINT = "start", "step", "evaluation", "checkpoint"


class Progress:
    """Marks of progress, and the longest time that has passed between two of them, by phase.

    Args:
        floors: seconds without a mark that are always allowed, by phase.
        factor: how many times its longest time so far a phase may take, where that is more.
    """

    def __init__(self, floors: Mapping[str, float], factor: float) -> None:
        self.phase = START
        self.marks = 0
        self.tokens = 0
        """Consumed by the run."""
        self._floors = floors
        self._factor = factor
        self._longest: dict[str, float] = {}
        self._marked = time.monotonic()

    def mark(self, tokens: int | None = None) -> None:
        """Something has been done."""
        now = time.monotonic()
        self._longest[self.phase] = max(self._longest.get(self.phase, 0.0), now - self._marked)
        self._marked = now
        self.marks += 1
        if tokens is not None:
            self.tokens = tokens

    def enter(self, phase: str) -> None:
        """What follows belongs to another phase."""
        self.mark()
        self.phase = phase

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """A phase inside of another."""
        outer = self.phase
        self.enter(phase)
        try:
            yield
        finally:
            self.enter(outer)

    def allowed_seconds(self) -> float:
        """How long the present phase may go on without a mark."""
        return max(self._floors[self.phase], self._factor * self._longest.get(self.phase, 0.0))
