"""Runs of `megakor pretrain` as jobs of the test cluster: the tiny world, trained by ranks on two nodes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from real_runs import BATCH, CONFIG, STEPS, World, train_lines
from slurm_cluster import SlurmCluster, Task, wait_for

from megakor.data.audit import audit

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
EVALUATE_EVERY = 8
"""Steps."""
MINUTES, NOTICE = 60, 30
"""Of a job of `submit`, and how long before its limit Slurm tells the ranks."""


@dataclass(frozen=True)
class SlurmRuns:
    """A cluster, and the world in which its jobs train."""

    slurm: SlurmCluster
    world: World

    @property
    def environment(self) -> dict[str, str]:
        """Of a user whose virtual environment is active."""
        return {"PATH": f"{Path(sys.executable).parent}:{self.slurm.environment['PATH']}", "VIRTUAL_ENV": sys.prefix}

    def configure(self, name: str, steps: int) -> Path:
        """The config of a run, with absolute paths: jobs start in the repository."""
        text = CONFIG.replace(f"tokens: {STEPS * BATCH}", f"tokens: {steps * BATCH}")
        text = text.replace(f"every: {4 * BATCH}", f"every: {EVALUATE_EVERY * BATCH}")
        for path in ("tokenizer", "shards"):
            text = text.replace(f": {path}", f": {self.world.directory}/{path}")
        config = self.world.directory / f"{name}.yaml"
        config.write_text(text)
        return config

    def submit(self, name: str, ranks: int, steps: int, *words: str, options: tuple[str, ...] = (), **more: str) -> str:
        """`sbatch slurm/pretrain_10b.sh` on both nodes; the number of the job."""
        shape = ("--nodes=2", f"--ntasks-per-node={ranks // 2}", "--gpus-per-node=0", "--cpus-per-task=1")
        limit = (f"--time={MINUTES}", f"--signal=USR1@{60 * NOTICE}")
        script = [f"--output={self.log_path(name)}", *shape, *limit, *options, "slurm/pretrain_10b.sh"]
        variables = {**self.environment, "CONFIG": str(self.configure(name, steps)), **more}
        return self.slurm.sbatch([*script, f"run.dir={self.run(name)}", *words], ROOT, variables)

    def run(self, name: str) -> Path:
        return self.world.run_dir(name)

    def log_path(self, name: str) -> Path:
        """Of a job of `submit`."""
        return self.world.directory / f"{name}.log"

    def said(self, name: str) -> str:
        """By everybody, for messages."""
        logs = [
            self.log_path(name),
            *self.run(name).glob("logs/*.log"),
            *self.run(name).glob("launch/*/submitit/*.out"),
        ]
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in logs if log.exists())

    def task(self, job: str) -> Task:
        """A job as it is now."""
        (task,) = self.slurm.tasks(job)
        return task

    def finish(self, name: str, job: str) -> Task:
        """Wait for the end of a job."""
        wait_for(lambda: self.task(job).is_over, f"the end of {name}", PATIENCE, lambda: self.said(name))
        return self.task(job)

    def wait_for_requeue(self, name: str, job: str, restarts: int) -> None:
        """Until the job is back in the queue."""
        wait_for(lambda: self.task(job).restarts >= restarts, f"a requeue of {name}", PATIENCE, lambda: self.said(name))

    def wait_for_steps(self, name: str, job: str, restarts: int = 0, more: int = 3) -> None:
        """Until the job has been started again so many times, and has since made some steps."""

        def started() -> bool:
            task = self.task(job)
            assert not task.is_over and task.restarts <= restarts, f"{task}\n{self.said(name)}"
            return task.state == "RUNNING" and task.restarts == restarts

        wait_for(started, f"start {restarts + 1} of {name}", PATIENCE, lambda: self.said(name))
        before = train_lines(self.run(name))
        wait_for(
            lambda: train_lines(self.run(name)) >= before + more or not started(),
            f"steps of {name}",
            PATIENCE,
            lambda: self.said(name),
        )
        assert started(), self.said(name)

    def let_time_run_out(self, name: str, job: str, minutes: int) -> None:
        """Move the limit so near that it is time for Slurm to tell the ranks, which it does within half a minute. When
        the job is back in the queue it is given time again."""
        restarts = self.task(job).restarts
        self.slurm.command("scontrol", "update", f"jobid={job}", f"timelimit={minutes}")
        self.wait_for_requeue(name, job, restarts + 1)
        self.slurm.command("scontrol", "update", f"jobid={job}", f"timelimit={MINUTES}")

    def rank(self, name: str, rank: int) -> psutil.Process:
        """The process of a rank, on whichever node it is."""
        for process in psutil.process_iter():
            try:
                words, environment = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            is_rank = {"pretrain", f"run.dir={self.run(name)}"} <= set(words) and "srun" not in words
            if is_rank and environment.get("SLURM_PROCID") == str(rank):
                return process
        raise AssertionError(self.said(name))

    def check_as_calm(self, name: str, calm: str) -> None:
        """Losses to the last bit, up to the last step of the run; and what it has read."""
        steps = max(self.world.losses(name))
        losses, found = self.world.losses(calm), self.world.validation(name)
        assert self.world.losses(name) == {step: losses[step] for step in range(1, steps + 1)}
        # A run that was stopped may have put off the evaluation of its last step.
        validation = self.world.validation(calm).items()
        assert found == {at: loss for at, loss in validation if at[0] < steps or at in found}
        assert audit(self.run(name) / "ledger.jsonl", steps * BATCH) == []
