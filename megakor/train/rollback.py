"""Going back to an earlier checkpoint: what is written down, and what a run does about it when it is opened again.

The decision is on the disk before anything is done, the run is then opened as after a kill. So a crash anywhere leads
to the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from megakor.checkpoint.listing import checkpoint_directories, list_checkpoints, tokens_of
from megakor.checkpoint.retention import set_aside
from megakor.config.schema_resilience import AnomaliesConfig
from megakor.report.reporter import Reporter
from megakor.resilience.guard import RollBack
from megakor.resilience.rollbacks import Rollback, finish, planned, read_rollbacks, write_rollbacks


def write_down(directory: Path, settings: AnomaliesConfig, asked: RollBack) -> None:
    """Choose the checkpoint and put the decision on the disk. One process of the run does it.

    Raises:
        DivergedError: there is no checkpoint to go back to, or there have been too many rollbacks.
    """
    earlier = read_rollbacks(directory)
    found = asked.verdict
    new = Rollback(0, asked.tokens, asked.step, str(found.anomaly), found.what)
    there = [checkpoint.tokens for checkpoint in list_checkpoints(directory / "checkpoints")]
    chosen = planned(earlier, there, settings.back, settings.most_rollbacks, settings.rollback_tokens, new)
    write_rollbacks(directory, [*earlier, chosen])


def leave_abandoned_future(directory: Path) -> list[Rollback]:
    """The rollbacks of a run. Of those that have yet to be done the checkpoints behind them are set aside.

    One process of the run does it, before a checkpoint is chosen.
    """
    rollbacks = read_rollbacks(directory)
    for rollback in rollbacks:
        if not rollback.done:
            for path in checkpoint_directories(directory / "checkpoints"):
                if (tokens_of(path) or 0) > rollback.to:
                    set_aside(path)
    return rollbacks


def tell_rollbacks(directory: Path, rollbacks: Sequence[Rollback], reporter: Reporter) -> None:
    """Report those that the run has been opened for, and write down that they are done."""
    new = [rollback for rollback in rollbacks if not rollback.done]
    for rollback in new:
        what = {"anomaly": rollback.anomaly, "why": rollback.what}
        reporter.event("rollback", tokens=rollback.to, step=rollback.step, passed_over_until=rollback.past, **what)
    if new:
        finish(directory)
