"""What becomes of a job whose ranks save, are lost, or are in the way of others: on a real Slurm of two nodes, with the
shipped script and with real submitit. Only the ranks are stand-ins, so that a start takes no time."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from real_runs import CONFIG
from slurm_cluster import SlurmCluster, Task, wait_for

from megakor.config.load import load_config
from megakor.launch.resources import Resources
from megakor.launch.snapshot import next_snapshot, take_snapshot
from megakor.launch.submit import log_of, submit_to_slurm

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RANK = Path(__file__).with_name("stand_in_rank.py")
SHAPE = ("--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=0", "--cpus-per-task=1")
PYTHON = """\
#!/bin/bash
case " $* " in
    *" --dry-run "*) exit 0 ;;
    *" megakor pretrain "*) exec {python} {rank} "$RUN" ;;
    *) exec {python} "$@" ;;
esac
"""


@dataclass(frozen=True)
class Job:
    """One that was submitted."""

    slurm: SlurmCluster
    number: str
    run: Path
    log: Path

    def task(self) -> Task:
        (task,) = self.slurm.tasks(self.number)
        return task

    def tell(self, name: str) -> None:
        """Send a signal to the ranks. scancel tries tasks of arrays again until they have ended, and calls that an
        error."""
        subprocess.run(["scancel", f"--signal={name}", self.number], env=self.slurm.environment, capture_output=True)

    def text(self) -> str:
        return f"{self.task()}\n{self.log.read_text() if self.log.exists() else 'no log'}"

    def wait_for_start(self, restarts: int) -> None:
        """Until all four ranks are there, after so many restarts."""
        wait_for(lambda: len(list(self.run.glob(f"up-{restarts}-*"))) == 4, f"start {restarts}", 90, self.text)
        assert self.task().restarts == restarts

    def lose_a_rank(self, restarts: int) -> None:
        """What the ranks do that miss another one."""
        (self.run / "lost").touch()
        wait_for(lambda: self.task().restarts == restarts, "a requeue", 90, self.text)
        (self.run / "lost").unlink()
        self.wait_for_start(restarts)

    def rank(self, restarts: int, rank: int) -> psutil.Process:
        """The process of a rank; its node may number processes in its own way."""
        for process in psutil.process_iter():
            try:
                words, environment = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            if str(RANK) in words and str(self.run) in words and environment.get("SLURM_PROCID") == str(rank):
                return process
        raise AssertionError(self.text())

    def make_way(self) -> None:
        """A job of higher priority wants both nodes."""
        words = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true"]
        self.slurm.sbatch(words, self.run.parent)


@pytest.fixture
def stand_ins(tmp_path: Path, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a job of the script needs so that its ranks are stand-ins."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "python"
    program.write_text(PYTHON.format(python=shlex.quote(sys.executable), rank=shlex.quote(str(RANK))))
    program.chmod(0o755)
    (tmp_path / "run").mkdir()
    (tmp_path / "run.yaml").write_text(CONFIG)
    return {
        "PATH": f"{program.parent}:{slurm.environment['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        "CONFIG": str(tmp_path / "run.yaml"),
        "RUN": str(tmp_path / "run"),
        "SLURM_WAIT": "3",
    }


def submit(slurm: SlurmCluster, tmp_path: Path, stand_ins: dict[str, str], *options: str, **variables: str) -> Job:
    """`sbatch slurm/pretrain_10b.sh`."""
    run = tmp_path / "run"
    words = [f"--output={tmp_path}/job.log", *SHAPE, *options, "slurm/pretrain_10b.sh", f"run.dir={run}"]
    return Job(slurm, slurm.sbatch(words, ROOT, {**stand_ins, **variables}), run, tmp_path / "job.log")


def test_a_job_of_the_script_outlives_all_that_befalls_it(
    slurm: SlurmCluster, tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    job = submit(slurm, tmp_path, stand_ins, "--signal=USR1@60")
    job.wait_for_start(0)
    slurm.command("scontrol", "update", f"jobid={job.number}", "timelimit=1")  # so Slurm tells the ranks soon
    wait_for(lambda: job.task().restarts == 1, "the time limit", 120, job.text)
    slurm.command("scontrol", "update", f"jobid={job.number}", "timelimit=10")
    job.wait_for_start(1)

    job.rank(1, 3).kill()
    job.wait_for_start(2)

    slurm.restart_controller()
    assert job.task().state == "RUNNING"
    assert job.task().restarts == 2, "nobody has noticed"

    job.make_way()
    job.wait_for_start(3)

    if slurm.isolated:
        slurm.crash("node2")
        slurm.boot("node2")  # at once: Slurm itself does not see that anything happened
        job.lose_a_rank(4)

    job.tell("TERM")  # as megakor stop does
    (ended,) = slurm.finish(job.number)
    assert (ended.state, ended.exit_code) == ("COMPLETED", "0:0"), job.text()
    log = job.log.read_text()
    assert log.count("saved, as it was asked to; goes on from tokens-") == 1
    assert log.count("a rank was lost; goes on from tokens-") == (2 if slurm.isolated else 1)
    assert log.count("back into the queue") == ended.restarts


def test_a_cancelled_job_is_not_started_again(slurm: SlurmCluster, tmp_path: Path, stand_ins: dict[str, str]) -> None:
    job = submit(slurm, tmp_path, stand_ins)
    job.wait_for_start(0)
    slurm.command("scancel", job.number)
    (ended,) = slurm.finish(job.number)
    assert (ended.state, ended.restarts) == ("CANCELLED", 0), job.text()


def test_where_requeueing_is_forbidden_a_chain_of_jobs_goes_on(
    slurm: SlurmCluster, tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    job = submit(slurm, tmp_path, stand_ins, "--array=1-3%1", CHAIN="1")
    first, second, third = (Job(slurm, f"{job.number}_{number}", job.run, job.log) for number in (1, 2, 3))
    first.wait_for_start(0)
    for path in job.run.glob("up-*"):
        path.unlink()
    first.tell("USR1")
    second.wait_for_start(0)
    second.tell("TERM")
    for one, state in {first: "COMPLETED", second: "COMPLETED", third: "CANCELLED"}.items():
        (ended,) = slurm.finish(one.number)
        assert (ended.state, ended.restarts) == (state, 0), job.text()


def test_submitit_requeues_a_job_whatever_its_run_is_called(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**slurm.environment, "SLURM_WAIT": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    run = tmp_path / "a 'run' \"of\" $(touch canary) 한국어"
    config = load_config(tmp_path / "run.yaml", [f"run.dir={json.dumps(str(run))}"])
    snapshot = next_snapshot(run)
    take_snapshot(snapshot, config)
    (snapshot.code / "start.py").write_text(
        f"import os, sys\nos.execv({sys.executable!r}, [{sys.executable!r}, {str(RANK)!r}, {str(run)!r}])\n"
    )
    number = submit_to_slurm(snapshot, Resources("run", 2, 2, 0, 2880))
    job = Job(slurm, number, run, log_of(snapshot, number))
    job.wait_for_start(0)

    job.tell("USR2")  # what Slurm sends before the time limit
    job.wait_for_start(1)
    job.lose_a_rank(2)
    job.make_way()
    job.wait_for_start(3)
    job.tell("TERM")
    (ended,) = slurm.finish(number)
    assert (ended.state, ended.exit_code, ended.restarts) == ("COMPLETED", "0:0", 3), job.text()
    log = job.log.read_text()
    assert log.count("Calling checkpoint method.") == 2, "submitit has requeued it; the third time it was preemption"
    assert log.count("saved, as it was asked to; goes on from tokens-") == 1
    assert not list(tmp_path.rglob("canary"))
    assert not (ROOT / "canary").exists()
