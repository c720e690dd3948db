"""Numbers that go wrong: what is an anomaly, and what may be done about one. Exact, so that a resumed run judges as one
that was never interrupted."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NOT_FINITE, LOSS_SPIKE, GRADIENT_SPIKE = "not_finite", "loss_spike", "gradient_spike"
REPORT, SKIP_UPDATE, SKIP_DATA, ROLLBACK, STOP = "report", "skip_update", "skip_data", "rollback", "stop"
TO_SIGMA = 1.4826
"""A median absolute deviation times this is the standard deviation of normally distributed numbers."""
LEAST_SPREAD = 0.01
"""Of the median: numbers that hardly move do not make a spike of the next one."""


class Window:
    """The latest numbers of a kind, and how far another one lies above them.

    Median and median absolute deviation are not moved by the spikes themselves, where mean and standard deviation are
    (the modified z-score of Iglewicz and Hoaglin, 1993).
    """

    def __init__(self, size: int, least: int) -> None:
        """`least` numbers have to be there for a score."""
        self._values: deque[float] = deque(maxlen=size)
        self._least = least

    def score(self, value: float) -> float | None:
        """How many robust standard deviations a number lies above the median; None for too few numbers."""
        if len(self._values) < self._least:
            return None
        median = statistics.median(self._values)
        deviation = TO_SIGMA * statistics.median(abs(earlier - median) for earlier in self._values)
        return (value - median) / max(deviation, LEAST_SPREAD * abs(median), 1e-12)

    def add(self, value: float) -> None:
        """Remember a number."""
        self._values.append(value)

    def clear(self) -> None:
        """Begin anew."""
        self._values.clear()

    def values(self) -> list[float]:
        """From the oldest on."""
        return list(self._values)

    def restore(self, values: Iterable[float]) -> None:
        """What `values` gave; where the window is smaller now, the latest of it."""
        self._values.clear()
        self._values.extend(values)


@dataclass(frozen=True)
class Verdict:
    """What was found at a step, and what is to be done."""

    loss: float
    grad_norm: float
    loss_score: float | None
    gradient_score: float | None
    anomaly: str | None = None
    action: str | None = None
    why_stop: str = ""
    """Where an action became a stop: which limit was reached."""

    @property
    def update(self) -> bool:
        """Whether the weights may be changed by it."""
        return self.action in (None, REPORT)

    @property
    def what(self) -> str:
        """In words."""
        numbers = f"loss {self.loss:.6g}, gradient norm {self.grad_norm:.6g}"
        if self.anomaly == NOT_FINITE:
            return f"the loss is {self.loss} and the gradient norm {self.grad_norm}"
        score = self.loss_score if self.anomaly == LOSS_SPIKE else self.gradient_score
        kind = "loss" if self.anomaly == LOSS_SPIKE else "gradient norm"
        return f"the {kind} lies {score:.1f} deviations above those of the latest steps ({numbers})"


@dataclass(frozen=True)
class AnomalyRecord:
    """An anomaly as a run reports it."""

    step: int
    tokens: int
    verdict: Verdict

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""
        found = self.verdict
        numbers = {"loss": found.loss, "grad_norm": found.grad_norm}
        scores = {"loss_score": found.loss_score, "gradient_score": found.gradient_score}
        what = {"anomaly": found.anomaly, "action": found.action}
        return {
            "kind": "event",
            "name": "anomaly",
            "step": self.step,
            "tokens": self.tokens,
            **what,
            **numbers,
            **scores,
        }

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""
        return {f"anomaly/{self.verdict.anomaly}": 1.0}

    def words(self) -> str:
        """As the console has it."""
        done = str(self.verdict.action).replace("_", " ")
        return f"anomaly at step {self.step}: {self.verdict.what}: {done}"
