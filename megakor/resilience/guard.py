"""Judges every step before its update, by the same numbers on every rank, and knows which data are passed over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from megakor.config.schema_resilience import AnomaliesConfig
from megakor.resilience.anomalies import (
    GRADIENT_SPIKE,
    LOSS_SPIKE,
    NOT_FINITE,
    SKIP_DATA,
    STOP,
    Verdict,
    Window,
)

NOTHING = Verdict(0.0, 0.0, None, None)


@dataclass
class Guard:
    """Its state belongs into the checkpoint, but for `passed`, which follows from the rollbacks of the run.

    Args:
        settings: `resilience.anomalies`.
        passed: ranges of the token clock, [from, to), that rollbacks have left out.
    """

    settings: AnomaliesConfig
    passed: Sequence[tuple[int, int]] = ()
    refused: int = 0
    """Steps without an update since the start of the run."""

    def __post_init__(self) -> None:
        settings = self.settings
        self._losses = Window(settings.window, settings.least)
        self._norms = Window(settings.window, settings.least)
        self._phase = ""
        self._in_a_row = 0
        self._pass_until = 0
        self.verdict = NOTHING
        """Of the latest step."""

    def passed_over_until(self, tokens: int) -> int | None:
        """Where a stretch ends that is consumed without training, if a batch that begins at `tokens` lies in one."""
        ends = [stop for start, stop in self.passed if start <= tokens < stop]
        return max([*ends, *([self._pass_until] if tokens < self._pass_until else [])], default=None)

    def begin(self, phase: str) -> None:
        """A step of the phase of this name follows. Other text has other losses: they are not compared."""
        if phase != self._phase:
            self._phase = phase
            self._losses.clear()
            self._norms.clear()

    def allows(self, stop: int, loss: float, grad_norm: float) -> bool:
        """Whether a step whose batch ends at `stop` tokens may change the weights; `verdict` says why not."""
        self.verdict = self._judge(stop, loss, grad_norm)
        return self.verdict.update

    def _judge(self, stop: int, loss: float, grad_norm: float) -> Verdict:
        """What is refused leaves no trace in the windows."""
        settings = self.settings
        scores = (self._losses.score(loss), self._norms.score(grad_norm))
        anomaly = _anomaly(loss, grad_norm, scores, settings)
        action = getattr(settings, anomaly) if anomaly else None
        found = Verdict(loss, grad_norm, *scores, anomaly, action)
        if found.update:
            self._in_a_row = 0
            self._losses.add(loss)
            self._norms.add(grad_norm)
            return found
        self.refused += 1
        self._in_a_row += 1
        if action != STOP and self._in_a_row > settings.most_in_a_row:
            why = f"{self._in_a_row} steps in a row (resilience.anomalies.most_in_a_row)"
            return Verdict(loss, grad_norm, *scores, anomaly, STOP, why)
        if action == SKIP_DATA:
            self._pass_until = stop + (settings.skip_tokens or 0)
        return found

    def state_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "losses": self._losses.values(),
            "grad_norms": self._norms.values(),
            "phase": self._phase,
            "in_a_row": self._in_a_row,
            "pass_until": self._pass_until,
            "refused": self.refused,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._losses.restore(state["losses"])
        self._norms.restore(state["grad_norms"])
        self._phase, self._in_a_row = state["phase"], state["in_a_row"]
        self._pass_until, self.refused = state["pass_until"], state["refused"]


def _anomaly(
    loss: float, grad_norm: float, scores: tuple[float | None, float | None], settings: AnomaliesConfig
) -> str | None:
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        return NOT_FINITE
    loss_score, gradient_score = scores
    if loss_score is not None and loss_score > settings.loss_score:
        return LOSS_SPIKE
    if gradient_score is not None and gradient_score > settings.gradient_score:
        return GRADIENT_SPIKE
    return None


class RollBack(Exception):  # noqa: N818 - it is no error
    """The run is to go back to an earlier checkpoint. Raised on every rank."""

    def __init__(self, verdict: Verdict, step: int, tokens: int) -> None:
        super().__init__(verdict.what)
        self.verdict = verdict
        self.step = step
        self.tokens = tokens
        """Where the batch ends that is not to be read again."""
