"""One rank of a launched run, as submitit starts it. submitit pickles the task when it is submitted, and each of its
processes calls it, from the copy of the code in the run directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.errors import ExitCode
from megakor.launch.ending import conclude_attempt, job_of
from megakor.launch.forwarding import run_forwarding


@dataclass
class PretrainTask:
    """Call it in every task of a submitit job."""

    command: list[str]
    """What a rank runs."""
    run: Path
    directory: Path
    """Where relative paths of the config are meant from."""
    port: int
    """Where ranks of this machine meet; those of Slurm find it by themselves."""

    def __call__(self) -> int:
        """Run the rank. The first one then has submitit start the job again, as for any signal, if that is worth it."""
        import submitit

        environment, here = dict(os.environ), submitit.JobEnvironment()
        if here.cluster == "local":
            environment |= self._local_rank(here)
        if here.global_rank > 0:
            os.chdir(self.directory)
            os.execve(self.command[0], self.command, environment)
        number = getattr(signal, f"SIG{here.USR_SIG}")
        requeue = signal.getsignal(number)
        code, _ = run_forwarding(self.command, cwd=self.directory, env=environment)
        ending = conclude_attempt(self.run, code, job_of(os.environ) or here.job_id)
        print(ending.words, flush=True)
        if ending.code == ExitCode.REQUEUE and callable(requeue):
            with suppress(subprocess.SubprocessError):  # where requeueing is forbidden the code says what was meant
                requeue(number, None)
        if ending.code:
            sys.exit(ending.code)
        return ending.code

    def checkpoint(self) -> Any:
        """What submitit starts after a requeue: the same, which goes on from the newest checkpoint of the run."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)

    def _local_rank(self, here: Any) -> dict[str, str]:
        rank, size = str(here.global_rank), str(here.num_tasks)
        return {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": size,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.port),
        }
