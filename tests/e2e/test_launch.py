"""`megakor launch`, `status`, `stop` on this machine: real submitit, torchrun and mpirun. Slurm: test_slurm_jobs.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from real_runs import BATCH, World
from slurm_cluster import wait_for

pytestmark = pytest.mark.slow
PATIENCE = 240.0


def test_a_run_in_the_background_is_watched_and_stopped(world: World) -> None:
    words = ("launch", "run.yaml", "--executor", "local", "--nproc", "2", "train.tokens=100M", "checkpoint.every=100M")
    launched = world.megakor(*words, "run.dir=runs/background", SLURM_JOB_ID="", SLURM_ARRAY_JOB_ID="")
    assert launched.code == 0, launched.err
    run = world.run_dir("background")

    def status() -> dict[str, object]:
        return dict(json.loads(world.megakor("status", "runs/background", "--json").out))

    wait_for(lambda: status()["step"] is not None, "a step", PATIENCE)
    assert status()["state"] == "running"
    assert "asked to save and stop" in world.megakor("stop", "runs/background").out
    wait_for(lambda: status()["state"] == "over", "the end", PATIENCE)
    found = status()
    assert found["checkpoint"] == f"tokens-{found['tokens']:012d}"
    command = (run / "launch/0001/code/start.py").read_text()
    assert "from megakor.cli import main" in command


@pytest.mark.parametrize("executor", ["torchrun", "mpi"])
def test_ranks_on_the_terminal_run_from_the_copy(world: World, executor: str) -> None:
    if executor == "mpi" and not Path(sys.executable).with_name("mpirun").exists():
        pytest.skip("no mpirun: pip install mpich, or megakor[test]")
    words = ("launch", "run.yaml", "--executor", executor, "--nproc", "2", f"train.tokens={4 * BATCH}")
    ended = world.megakor(*words, f"run.dir=runs/by-{executor}")
    assert ended.code == 0, ended.err
    assert len(world.losses(f"by-{executor}")) == 4
    assert (world.run_dir(f"by-{executor}") / "launch/0001/config.yaml").exists()
    assert world.megakor("status", f"runs/by-{executor}").out.count("(100.0%)") == 1
