"""Signs of life: a small file for each rank in the run directory, which a watchdog's thread rewrites.

Files, because they need no rank to serve them: the store of torch.distributed lives in rank 0, and that may be the one
that was stopped. Nobody compares clocks of two machines: a rank is silent if its count of beats does not move.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ALARM = "alarm"
_WIDTH = 256


@dataclass(frozen=True)
class Beat:
    """What a rank last said."""

    rank: int
    host: str
    beats: int
    marks: int
    """Of its progress."""
    phase: str
    tokens: int


class Heartbeats:
    """The directory of one attempt of a run. A sick disk never hurts whoever calls."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def clear(self) -> None:
        """Forget earlier attempts; one process does it before any writes."""
        shutil.rmtree(self.directory, ignore_errors=True)
        with suppress(OSError):
            self.directory.mkdir(parents=True)

    def write(self, beat: Beat) -> None:
        """In one piece and in place: a reader never meets an empty file, and a full disk has room for it."""
        text = json.dumps(asdict(beat)).ljust(_WIDTH) + "\n"
        path = self.directory / f"rank-{beat.rank}"
        with suppress(OSError), path.open("r+b" if path.exists() else "wb") as file:
            file.write(text.encode())

    def read(self, size: int) -> dict[int, Beat]:
        """The latest beats of `size` ranks; of some there may be none."""
        found = {}
        for rank in range(size):
            with suppress(OSError, ValueError, TypeError):
                found[rank] = Beat(**json.loads((self.directory / f"rank-{rank}").read_text()))
        return found

    def raise_alarm(self) -> None:
        """Tell all ranks to write down where they are."""
        with suppress(OSError):
            (self.directory / ALARM).touch()

    def alarmed(self) -> bool:
        """Whether a rank has raised the alarm."""
        return (self.directory / ALARM).exists()


def blame(before: Mapping[int, Beat], after: Mapping[int, Beat], size: int) -> str:
    """Which rank holds up the others, in words, from two looks at all of them.

    Silent ranks first: stopped processes and dead machines. Then those that have come less far than others.
    """
    silent = [rank for rank in range(size) if rank not in after or before.get(rank) == after[rank]]
    if silent:
        seen = [after[rank] for rank in silent if rank in after]
        at = f", last seen in the phase '{seen[0].phase}' at {seen[0].tokens:,} tokens" if seen else ""
        verb = "does" if len(silent) == 1 else "do"
        return f"{_named(silent, after)} {verb} not answer{at}: stopped, or the machine is gone"
    marks = {rank: beat.marks for rank, beat in after.items()}
    behind = [rank for rank in marks if marks[rank] == min(marks.values())]
    if min(marks.values()) < max(marks.values()):
        verb = "has" if len(behind) == 1 else "have"
        return (
            f"{_named(behind, after)} {verb} come less far than the others, in the phase '{after[behind[0]].phase}' at "
            f"{after[behind[0]].tokens:,} tokens"
        )
    return "all ranks answer and have come equally far, so they wait for each other: the network, or the file system"


def _named(ranks: list[int], beats: Mapping[int, Beat]) -> str:
    names = [f"{rank} ({beats[rank].host})" if rank in beats else str(rank) for rank in ranks[:8]]
    more = f" and {len(ranks) - 8} more" if len(ranks) > 8 else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(names)}{more}"
