"""The last words of a launched Slurm job: back into the queue, or the exit code of the run.

    python -m megakor.launch.after CODE CONFIG

`megakor launch` puts it behind srun. Usually the first rank has requeued the job by then, through submitit; here is for
ranks that could not, and for jobs that are being preempted.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from megakor.config.load import load_config
from megakor.errors import ExitCode, MegakorError, report
from megakor.launch.ending import conclude_attempt, job_of
from megakor.launch.slurm_job import RUNNING, find_job, requeue_job

PATIENCE = 600
"""Seconds for Slurm to end this process when it requeues its job."""


def conclude_job(run: Path, code: int) -> int:
    """Requeue this job if that is worth it; returns the exit code of the job. Raises MegakorError."""
    number = os.environ["SLURM_JOB_ID"]
    job = find_job(number)
    if job is None or job.state != RUNNING:
        return code  # cancelled, or on its way back into the queue
    ending = conclude_attempt(run, code, job_of(os.environ))
    print(ending.words, flush=True)
    if ending.code != ExitCode.REQUEUE and not job.preempted:
        return ending.code
    if requeue_job(number):
        time.sleep(PATIENCE)
    print("This cluster does not requeue jobs. Launch the same run again.", flush=True)
    return ending.code


def main(arguments: Sequence[str]) -> int:
    """See the top of the file."""
    code, config = arguments
    try:
        return conclude_job(Path(load_config(config).run.dir), int(code))
    except MegakorError as error:
        return report(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
