"""Processes that build one corpus together: the ranks of mpirun or srun, or the tasks of a Slurm array.

Nothing is sent between them. Each takes its share of the tasks, and what is done is known from the files of the work
directory, so that a team may have another size when the command is given again.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeVar

from megakor.errors import ConfigError
from megakor.launched import by_mpi, by_srun, join_mpi, number

Item = TypeVar("Item")
VARIABLE = "MEGAKOR_TEAM"
SLURM_ARRAY = "slurm-array"
"""slurm/preprocess.sh sets VARIABLE to this. Without it the tasks of an array may well be builds of their own."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two looks at the work directory."""
LAST_WORDS = 0.5
"""Seconds for a launcher to pass on what was printed: it drops what it holds when it ends the others."""
WORD_EVERY = 60.0
"""Seconds between two lines that say what is waited for."""
_THROTTLED = " Tasks of the array that cannot start beside this one (--array=...%N) will never do it."


class Kind(Enum):
    """What started the members."""

    ALONE = "one process"
    MPI = "MPI"
    SRUN = "srun"
    ARRAY = "Slurm array"


@dataclass(frozen=True)
class Team:
    """This process among those that build together."""

    rank: int = 0
    size: int = 1
    kind: Kind = Kind.ALONE
    together: bool = True
    """Whether all members run at the same time. The tasks of an array may start one after another, so none may wait."""
    step: str = ""
    """Slurm's name of the job step, of members that srun started."""

    @classmethod
    def detect(cls, environment: Mapping[str, str]) -> Team:
        """Learn from the environment who takes part. Under mpirun, MPI is started.

        Raises:
            ConfigError: mpi4py is missing or belongs to another MPI; an array has gaps; a variable is no number.
        """
        inner = _step(environment) or _mpi(environment) or cls()
        if inner.rank >= inner.size:
            raise ConfigError(f"this is rank {inner.rank} ({inner.kind.value}), counted from 0, of only {inner.size}.")
        if inner.kind is Kind.MPI:
            join_mpi(inner.size)
        if environment.get(VARIABLE) != SLURM_ARRAY:
            return inner
        array_rank, array_size = _array(environment)
        return cls(
            rank=array_rank * inner.size + inner.rank,
            size=array_size * inner.size,
            kind=Kind.ARRAY if inner.kind is Kind.ALONE and array_size > 1 else inner.kind,
            together=array_size == 1,
            step=inner.step,
        )

    def __str__(self) -> str:
        return self.kind.value if self.size == 1 else f"member {self.rank + 1} of {self.size} ({self.kind.value})"

    def labelled(self, log: Callable[[str], None]) -> Callable[[str], None]:
        """The same log, with this member's name before every line where there are several."""
        return log if self.size == 1 else lambda line: log(f"{self}: {line}")

    def mine(self, items: Sequence[Item]) -> list[Item]:
        """This member's share; every item belongs to exactly one member."""
        return list(items[self.rank :: self.size])

    def wait(self, until: Callable[[], bool], what: str, log: Callable[[str], None]) -> None:
        """Look again and again, ever more slowly, until it is so; what `until` raises ends the wait."""
        pause, since = SHORTEST_PAUSE, time.monotonic()
        said = since
        while not until():
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            now = time.monotonic()
            if now - said >= WORD_EVERY:
                said = now
                log(f"waiting for {what} for {now - since:.0f} s.{'' if self.together else _THROTTLED}")

    def abort(self, code: int) -> NoReturn:
        """End this process with the code, and the members that run beside it: they would wait for it for ever."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if self.kind in (Kind.MPI, Kind.SRUN):
            time.sleep(LAST_WORDS)
        if self.kind is Kind.MPI:
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(code)
        if self.kind is Kind.SRUN:
            with suppress(OSError):
                subprocess.run(["scancel", self.step], check=False)
        sys.exit(code)


def _step(environment: Mapping[str, str]) -> Team | None:
    """Members that srun itself started."""
    if (here := by_srun(environment)) is None:
        return None
    step = f"{environment['SLURM_JOB_ID']}.{environment['SLURM_STEP_ID']}"
    return Team(here.rank, here.size, Kind.SRUN, step=step)


def _mpi(environment: Mapping[str, str]) -> Team | None:
    here = by_mpi(environment)
    return None if here is None else Team(here.rank, here.size, Kind.MPI)


def _array(environment: Mapping[str, str]) -> tuple[int, int]:
    """Rank and size of this task in its array."""
    task, first, last, size = (
        number(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX", "COUNT")
    )
    stride = number(environment, "SLURM_ARRAY_TASK_STEP", 1)
    if not (stride and size):
        raise ConfigError("SLURM_ARRAY_TASK_STEP or SLURM_ARRAY_TASK_COUNT is 0; a launcher sets them to 1 or more.")
    if first + stride * (size - 1) != last or (task - first) % stride:
        raise ConfigError(
            f"the Slurm array has {size} tasks from {first} to {last}, with gaps. "
            f"Give a range: sbatch --array=0-{size - 1}"
        )
    if not first <= task <= last:
        raise ConfigError(
            f"SLURM_ARRAY_TASK_ID is {task}, and the array has the tasks {first} to {last}: the variables are not of "
            "one job. Start the script with sbatch, and unset what an older job left."
        )
    return (task - first) // stride, size
