"""rollbacks.json: what a run has gone back over. Written before anything is done about it, so that a crash in between
changes nothing: the next start finds what is to be done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from megakor.errors import DataError, DivergedError
from megakor.storage import write_text

NAME = "rollbacks.json"


@dataclass(frozen=True)
class Rollback:
    """One of them. The run goes on from the checkpoint at `to` tokens, and passes over the data up to `past`."""

    to: int
    past: int
    step: int
    anomaly: str
    what: str
    done: bool = False
    """Whether a run has been opened at its checkpoint since."""


def read_rollbacks(run: Path) -> list[Rollback]:
    """In their order; none where the file is missing. Raises DataError for a file that no run has written."""
    path = run / NAME
    if not path.exists():
        return []
    try:
        return [Rollback(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a file that a run has written ({error}). Mend it from a copy.") from error


def write_rollbacks(run: Path, rollbacks: Sequence[Rollback]) -> None:
    """Raises StorageError."""
    write_text(run / NAME, json.dumps([asdict(rollback) for rollback in rollbacks], indent=2) + "\n")


def finish(run: Path) -> None:
    """All of them have been done. Raises StorageError."""
    write_rollbacks(run, [replace(rollback, done=True) for rollback in read_rollbacks(run)])


def planned(
    earlier: Sequence[Rollback], checkpoints: Sequence[int], back: int, most: int, within: int | None, new: Rollback
) -> Rollback:
    """The rollback with its checkpoint filled in.

    Args:
        checkpoints: tokens of those there are.
        back: 1 goes to the newest one, 2 to the one before. Where there are fewer it goes to the oldest.
        most: how many rollbacks there may be, this one included, among the latest `within` tokens (None: of the run).

    Raises:
        DivergedError: there are more, or there is no checkpoint.
    """
    recent = [one for one in earlier if within is None or one.past > new.past - within]
    where = f"step {new.step} at {new.past:,} tokens: {new.what}"
    if len(recent) >= most:
        raise DivergedError(
            f"{where}. The run has gone back {len(recent)} times already (resilience.anomalies.most_rollbacks), so "
            "this is not a matter of the data alone. Lower lr.peak, or go back further by hand."
        )
    if not checkpoints:
        raise DivergedError(f"{where}. There is no checkpoint yet to go back to. Lower lr.peak or lengthen lr.warmup.")
    ordered = sorted(checkpoints)
    return replace(new, to=ordered[max(0, len(ordered) - back)])
