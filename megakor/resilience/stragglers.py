"""Which ranks are slow: the time that each spends computing in a step, before it waits for the others."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

MOST_NAMED = 8


@dataclass(frozen=True)
class RankTimes:
    """How long ranks compute in a step: mean seconds over some steps. Ranks that share a model compute in step, so a
    slow one among them shows in all of these."""

    step: int
    tokens: int
    median: float
    slowest: float
    slowest_rank: int
    stragglers: dict[str, float]
    """By rank, as text: how many times the median those take that are slow; the slowest first, a few of them."""

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""
        times = {"median": self.median, "slowest": self.slowest, "slowest_rank": self.slowest_rank}
        return {"kind": "ranks", "step": self.step, "tokens": self.tokens, **times, "stragglers": self.stragglers}

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""
        return {"ranks/median_seconds": self.median, "ranks/slowest_seconds": self.slowest}

    def words(self) -> str:
        """As the console has it; nothing where no rank is slow."""
        slow = ", ".join(f"rank {rank} {times:.2f} times the median" for rank, times in self.stragglers.items())
        return f"  slow ranks: {slow} ({self.median:.3f} s a step)" if slow else ""


class StepTimes:
    """Adds up this rank's times and tells all ranks' from time to time, without anybody waiting. Collective.

    Args:
        every: steps between two answers.
        factor: a rank is slow that takes this many times the median.
        group: a CPU (gloo) group of all ranks.
        on_cuda: time is that of the device, by events that are read when they are long over.
    """

    def __init__(self, every: int, factor: float, group: dist.ProcessGroup, on_cuda: bool) -> None:
        self._every = every
        self._factor = factor
        self._group = group
        self._now: Callable[[], Any] = _event if on_cuda else time.perf_counter
        self._on_cuda = on_cuda
        self._began: Any = None
        self._spans: list[tuple[Any, Any]] = []
        self._answer: Callable[[], list[float]] | None = None

    def begin(self) -> None:
        """A step begins, with the reading of its batch."""
        self._began = self._now()

    def computed(self) -> None:
        """This rank has its gradients, and goes on to add them up with those of others."""
        self._spans.append((self._began, self._now()))

    def step_over(self, step: int, tokens: int) -> RankTimes | None:
        """The times of all ranks, one step after they were asked for; None at all other steps."""
        if self._answer is not None:
            times, self._answer = self._answer(), None
            return spread(step, tokens, times, self._factor)
        if len(self._spans) >= self._every and dist.get_world_size(self._group) > 1:
            self._answer = self._ask()
        if len(self._spans) >= self._every:
            self._spans = []
        return None

    def _ask(self) -> Callable[[], list[float]]:
        seconds = [began.elapsed_time(end) / 1000 if self._on_cuda else end - began for began, end in self._spans]
        times = torch.zeros(dist.get_world_size(self._group), dtype=torch.float64, device="cpu")
        times[dist.get_rank(self._group)] = sum(seconds) / len(seconds)
        work = dist.all_reduce(times, group=self._group, async_op=True)

        def answer() -> list[float]:
            if work is not None:
                work.wait()
            return times.tolist()

        return answer


def spread(step: int, tokens: int, times: list[float], factor: float) -> RankTimes:
    """What the mean times of all ranks say."""
    median = statistics.median_low(times)
    slow = sorted(
        (rank for rank, seconds in enumerate(times) if seconds > factor * median), key=lambda rank: -times[rank]
    )
    slowest = max(range(len(times)), key=times.__getitem__)
    stragglers = {str(rank): times[rank] / median for rank in slow[:MOST_NAMED]}
    return RankTimes(step, tokens, median, times[slowest], slowest, stragglers)


def _event() -> Any:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
