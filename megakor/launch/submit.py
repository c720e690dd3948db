"""Jobs by submitit: its executors write the batch script, start the tasks and start them again. Imported late; needs
the extra `slurm`."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from megakor.errors import ConfigError, HardwareError
from megakor.launch.placement import free_port
from megakor.launch.resources import Resources
from megakor.launch.snapshot import Snapshot, hopper_settings
from megakor.launch.submitit_task import PretrainTask

FOLDER = "submitit"
WITHOUT_END = 10**6
"""Requeues after which submitit gives up. It is the token budget that ends a run, or `conclude_attempt`."""
SAVING_SECONDS = 600
"""From the signal to the time limit, but at most half of the limit."""


def slurm_script(snapshot: Snapshot, resources: Resources) -> str:
    """The batch script that `submit_to_slurm` would submit."""
    executor = _slurm_executor(snapshot, resources)
    return str(executor._make_submission_file_text(executor._submitit_command_str, "dry-run"))


def submit_to_slurm(snapshot: Snapshot, resources: Resources) -> str:
    """Submit; returns the number of the job. The snapshot has been taken.

    Raises:
        HardwareError: there is no sbatch, or it refuses the job.
    """
    submitit = _import()
    executor = _slurm_executor(snapshot, resources)
    task = PretrainTask(snapshot.command(), snapshot.directory.parents[1], Path.cwd(), port=0)
    try:
        return str(executor.submit(task).job_id)
    except FileNotFoundError as error:
        raise HardwareError(f"{error.filename} is not here: launch on a node from which jobs are submitted.") from error
    except submitit.core.utils.FailedJobError as error:
        raise HardwareError(f"sbatch refuses the job: {str(error).strip()}") from error


def submit_locally(snapshot: Snapshot, resources: Resources) -> str:
    """Start the ranks in the background; returns the number of the process that watches them."""
    submitit = _import()
    executor = submitit.LocalExecutor(snapshot.directory / FOLDER, max_num_timeout=WITHOUT_END)
    executor.update_parameters(
        tasks_per_node=resources.ranks,
        gpus_per_node=resources.gpus_per_node,
        timeout_min=resources.minutes,
        signal_delay_s=_saving_seconds(resources),
        stderr_to_stdout=True,
    )
    task = PretrainTask(snapshot.command(), snapshot.directory.parents[1], Path.cwd(), port=free_port())
    with _to_outlive_the_terminal(snapshot.code, snapshot.directory / "controller.log"):
        return str(executor.submit(task).job_id)


def log_of(snapshot: Snapshot, job: str) -> Path:
    """Where the first rank of a job writes."""
    return snapshot.directory / FOLDER / f"{job}_0_log.out"


def _slurm_executor(snapshot: Snapshot, resources: Resources) -> Any:
    submitit = _import()

    class Executor(submitit.SlurmExecutor):  # type: ignore[misc, name-defined]
        """A script can be written without a Slurm at hand."""

        @classmethod
        def affinity(cls) -> int:
            return 1

    executor = Executor(snapshot.directory / FOLDER, max_num_timeout=WITHOUT_END, python=shlex.quote(sys.executable))
    executor.update_parameters(
        job_name=resources.name,
        nodes=resources.nodes,
        ntasks_per_node=resources.ranks_per_node,
        time=resources.minutes,
        signal_delay_s=_saving_seconds(resources),
        stderr_to_stdout=True,
        srun_args=["--kill-on-bad-exit=0"],
        setup=_setup(snapshot, resources),
        teardown=_teardown(snapshot),
        additional_parameters={"chdir": str(snapshot.code), "requeue": True, **resources.options},
        **({"gpus_per_node": resources.gpus_per_node} if resources.gpus_per_node else {}),
        **({"cpus_per_task": resources.cores_per_rank} if resources.cores_per_rank else {}),
    )
    return executor


def _setup(snapshot: Snapshot, resources: Resources) -> list[str]:
    sourced = [snapshot.hopper] if resources.gpus_per_node and hopper_settings().is_file() else []
    sourced += [resources.setup.absolute()] if resources.setup else []
    return [
        "trap : TERM  # what Slurm sends before it preempts is for the ranks; this shell waits for them",
        *(f"source {shlex.quote(str(path))}" for path in sourced),
        "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}",
        'export SRUN_CPUS_PER_TASK="$OMP_NUM_THREADS"',
        "export SLURM_WAIT=${SLURM_WAIT:-120}  # seconds that ranks have to end when one of them has",
    ]


def _teardown(snapshot: Snapshot) -> list[str]:
    return [f"exec {shlex.join([sys.executable, '-m', 'megakor.launch.after'])} $? {shlex.quote(str(snapshot.config))}"]


def _saving_seconds(resources: Resources) -> int:
    return min(SAVING_SECONDS, 60 * resources.minutes // 2)


@contextmanager
def _to_outlive_the_terminal(directory: Path, log: Path) -> Iterator[None]:
    """What is started inside begins in a directory, writes to a log, and does not end when the terminal is closed.

    Nor does it keep the terminal: who reads what `megakor launch` prints would wait for the run's end.
    """
    here, before = Path.cwd(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout.flush()
    own = [os.dup(number) for number in (0, 1, 2)]
    os.chdir(directory)
    try:
        _point_at(os.open(os.devnull, os.O_RDONLY), 0)
        _point_at(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1, 2)
        yield
    finally:
        for number, copy in enumerate(own):
            _point_at(copy, number)
        os.chdir(here)
        signal.signal(signal.SIGHUP, before)


def _point_at(descriptor: int, *numbers: int) -> None:
    for number in numbers:
        os.dup2(descriptor, number)
    os.close(descriptor)


def _import() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "--executor slurm and local need submitit. Install it: pip install 'megakor[slurm]'"
        ) from error
    return submitit
