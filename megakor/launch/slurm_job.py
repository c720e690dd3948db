"""A job of Slurm, as its commands show and change it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from megakor.errors import HardwareError

_FIELD = re.compile(r"(\w+)=(.*?)(?=\s+[\w/:]+=|\s*$)")
"""A value may hold spaces: Command=/a b/c.sh"""
_NONE = ("", "None", "(null)", "Unknown")
WAITING, RUNNING = "PENDING", "RUNNING"


@dataclass(frozen=True)
class SlurmJob:
    """What `scontrol show job` says."""

    number: str
    state: str
    reason: str
    restarts: int
    exit_code: str
    """Code:signal."""
    nodes: str
    time_limit: str
    preempted: bool
    """Whether it was asked to make room for another one, and is in its grace time."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is in the queue."""
        return self.state == WAITING

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (WAITING, RUNNING)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason and self.is_waiting else ""
        where = f" on {self.nodes}" if self.nodes and self.state == RUNNING else ""
        again = f", start {self.restarts + 1}" if self.restarts else ""
        return f"Slurm job {self.number}: {self.state}{why}{where}{again}"


def find_job(number: str) -> SlurmJob | None:
    """A job by its number; None where Slurm does not know it (any more).

    Raises:
        HardwareError: there is no Slurm here, or it does not answer.
    """
    ended = _command("scontrol", "--oneliner", "show", "job", number)
    if ended.returncode:
        if "Invalid job id" in ended.stderr:
            return None
        raise HardwareError(f"scontrol show job {number}: {ended.stderr.strip() or 'no answer'}")
    found = dict(_FIELD.findall(ended.stdout.splitlines()[0]))

    def value(name: str) -> str:
        return "" if found.get(name, "") in _NONE else found[name]

    return SlurmJob(
        number,
        value("JobState"),
        value("Reason"),
        int(value("Restarts") or 0),
        value("ExitCode"),
        value("NodeList"),
        value("TimeLimit"),
        bool(value("PreemptTime")),
    )


def requeue_job(number: str) -> bool:
    """Put a running job back into the queue, which ends it here; False where Slurm does not allow it."""
    return _command("scontrol", "requeue", number).returncode == 0


def stop_job(job: SlurmJob, array: str = "") -> None:
    """Ask the ranks of a running job to save and stop; take one that waits out of the queue. The tasks of its array
    that would go on for it are cancelled.

    Raises:
        HardwareError: Slurm refuses.
    """
    if array:
        _must("scancel", "--state=PENDING", array)
    if job.is_waiting:
        _must("scancel", job.number)
    else:
        # Its ranks, not the shell that waits for them. For tasks of arrays scancel tries again until they have ended.
        ended = _command("scancel", "--signal=TERM", job.number)
        if ended.returncode and (now := find_job(job.number)) is not None and now.is_active:
            raise HardwareError(f"scancel --signal=TERM {job.number}: {ended.stderr.strip()}")


def _must(*words: str) -> None:
    ended = _command(*words)
    if ended.returncode:
        raise HardwareError(f"{' '.join(words)}: {ended.stderr.strip()}")


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise HardwareError(
            f"{words[0]} is not here: the run was started by Slurm, so ask on a node of its cluster."
        ) from error
