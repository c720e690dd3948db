"""Whether a run is waiting, running or over, whoever started it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from megakor.errors import DataError, HardwareError
from megakor.launch.slurm_job import SlurmJob, find_job, stop_job
from megakor.launch.submission import Submission
from megakor.launch.verbs import LOCAL, SLURM
from megakor.lock import NAME, Holder


@dataclass(frozen=True)
class Activity:
    """What is known of a run's processes."""

    words: str
    """For people."""
    state: str
    """waiting, running, over, or unknown (another machine)."""
    job: SlurmJob | None = None
    """Where it is one of Slurm."""
    array: str = ""
    process: int | None = None
    """Of the first rank, where it runs on this machine."""
    log: str = ""


WAITING, RUNNING, OVER, UNKNOWN = "waiting", "running", "over", "unknown"


def activity_of(run: Path) -> Activity:
    """What a run is doing now.

    Raises:
        DataError: the directory holds no run.
        HardwareError: it is a Slurm job, and Slurm does not answer here.
    """
    holder, submission = Holder.of(run), Submission.of(run)
    if holder is None and submission is None:
        raise DataError(f"{run}: no run has been started here. Name the directory of a run (run.dir).")
    log = submission.log if submission else ""
    found = _slurm(holder, submission)
    if found is not None and found[0].is_active:
        job, array = found
        return Activity(str(job), WAITING if job.is_waiting else RUNNING, job, array, log=log)
    if holder is not None and not holder.slurm_job:
        if holder.host != platform.node():
            return Activity(f"last held by {holder}; ask there", UNKNOWN, log=log)
        if _holds(holder.process, run / NAME):
            return Activity(f"running: {holder}", RUNNING, process=holder.process, log=log)
    if submission is not None and _is_starting(submission):
        return Activity("starting; ask again when it has begun", RUNNING, log=log)
    last = f"{found[0]}, exit code {found[0].exit_code.partition(':')[0]}" if found else f"not running (last: {holder})"
    return Activity(last, OVER, found[0] if found else None, log=log)


def stop(run: Path) -> str:
    """Ask a run to save and stop; says what was done.

    Raises:
        DataError: there is no run.
        HardwareError: it cannot be reached from here.
    """
    found = activity_of(run)
    if found.state == UNKNOWN:
        raise HardwareError(f"{run}: {found.words}.")
    if found.job is not None and found.job.is_active:
        stop_job(found.job, found.array)
        waits = found.state == WAITING
        return f"{found.words}: {'taken out of the queue' if waits else 'asked to save and stop'}"
    if found.process is not None:
        psutil.Process(found.process).terminate()
        return f"{found.words}: asked to save and stop"
    return f"{found.words}{'' if found.state == RUNNING else ': nothing to stop'}"


def _slurm(holder: Holder | None, submission: Submission | None) -> tuple[SlurmJob, str] | None:
    """The job of a run that Slurm knows, and its array: an active one rather than one that is over."""
    candidates = []
    if submission is not None and submission.executor == SLURM:
        candidates.append((submission.job, ""))
    if holder is not None and holder.slurm_job:
        candidates.append((holder.slurm_job, holder.slurm_array))
    found = [(job, array) for number, array in candidates if (job := find_job(number)) is not None]
    return max(found, key=lambda pair: (pair[0].is_active, int(pair[0].number)), default=None)


def _is_starting(submission: Submission) -> bool:
    """Whether the process that watches the ranks of a local run is there."""
    if submission.executor != LOCAL or submission.host != platform.node():
        return False
    try:
        return any("submitit" in word for word in psutil.Process(int(submission.job)).cmdline())
    except psutil.Error:
        return False


def _holds(process: int, lock: Path) -> bool:
    """Whether a process is there and has the lock open: its number may have gone to another one."""
    try:
        return any(Path(file.path) == lock.absolute() for file in psutil.Process(process).open_files())
    except psutil.AccessDenied:
        return True  # another user's: a process it is
    except psutil.Error:
        return False
