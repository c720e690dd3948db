"""A run: everything that the loop works with, and what of it a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist

from megakor.checkpoint.manager import CheckpointManager
from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.parameters import without_weights
from megakor.config.schema import Config
from megakor.curriculum.schedule import Schedule
from megakor.data.ledger import LedgerWriter
from megakor.data.stream import TokenStream
from megakor.report.reporter import Reporter
from megakor.resilience.guard import Guard
from megakor.resilience.progress import CHECKPOINT, Progress
from megakor.resilience.stopping import Stopping
from megakor.resilience.stragglers import StepTimes
from megakor.train.engine import Engine
from megakor.train.learning_rate import LearningRate
from megakor.train.measuring import Measuring
from megakor.train.state import sharded_state


@dataclass(frozen=True)
class Watch:
    """What watches over a rank from its start to its end, whatever runs it opens."""

    stopping: Stopping
    progress: Progress
    group: dist.ProcessGroup
    """All ranks, on the CPU: nobody waits for it long."""

    def check(self) -> None:
        """Between two parts of the start. Raises Stopped on every rank. Collective."""
        self.progress.mark()
        self.stopping.check()


@dataclass
class Run:
    """Everything that the loop works with. The same on every rank, but for the ledger."""

    config: Config
    engine: Engine
    schedule: Schedule
    grid: EvaluationGrid
    learning_rate: LearningRate
    stream: TokenStream
    measuring: Measuring
    checkpoints: CheckpointManager
    reporter: Reporter
    unlearnt: Mapping[str, int]
    """Ids of the tokens that phases read without a loss."""
    ledger: LedgerWriter | None
    """On rank 0 only."""
    began: Mapping[str, Any]
    """For its checkpoints: the SHA-256 of the tokenizer, and the base (None: random weights)."""
    stopping: Stopping
    progress: Progress
    guard: Guard
    times: StepTimes
    evaluated: int
    """Tokens at the latest evaluation."""
    step: int = 0
    evaluation_due: bool = False
    """Whether the weights as they are have yet to be evaluated."""
    passing_until: int | None = None
    """The end of the data that are being passed over, as it was last reported."""

    def pulse(self) -> None:
        """Inside of something long: we are alive, and may be stopped here. Collective."""
        self.progress.mark()
        self.stopping.poll()

    def save(self, final: bool = False) -> None:
        """A checkpoint of this very moment. Collective."""
        with self.progress.during(CHECKPOINT):
            self._save(final)

    def _save(self, final: bool) -> None:
        if self.ledger is not None:
            self.ledger.flush()
        self.reporter.sync()
        tokens = self.stream.tokens_consumed
        state = {
            "step": self.step,
            "stream": self.stream.state_dict(),
            "lr": self.learning_rate.at(tokens),
            "model": without_weights(self.engine.model),
            "measuring": self.measuring.state_dict(),
            "evaluated": self.evaluated,
            "evaluation_due": self.evaluation_due,
            "guard": self.guard.state_dict(),
            **self.began,
        }
        self.checkpoints.save(self.step, tokens, sharded_state(self.engine, loading=False), state, final=final)
