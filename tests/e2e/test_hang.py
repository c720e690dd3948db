"""Ranks that are stopped or slowed down: found, named, and the run goes on afterwards."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
import pytest
from real_runs import PATIENCE, WAITING, World, kill_group, train_lines, wait_until

pytestmark = pytest.mark.slow

TWO = ("--nproc", "2", "train.tokens=1M", "evaluation.every=null", "checkpoint.every=500K")
SOON = "resilience.hang={step_seconds: 3, evaluation_seconds: 3, checkpoint_seconds: 3, start_seconds: 60}"


def rank_of(process: subprocess.Popen[str], rank: int) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    return next(child for child in children if child.environ().get("RANK") == str(rank))


def running(world: World, name: str, *words: str) -> subprocess.Popen[str]:
    process = world.start("pretrain", "run.yaml", f"run.dir=runs/{name}", *TWO, SOON, *words)
    wait_until(process, lambda: train_lines(world.run_dir(name)) >= 2)
    return process


@pytest.mark.parametrize("stopped", [1, 0])
def test_a_stopped_rank_is_named_and_stacks_are_written(world: World, stopped: int) -> None:
    """Rank 0 serves the store of torch.distributed: when it is stopped, the others have to find out without it."""
    name = f"hang-{stopped}"
    run, process = world.run_dir(name), running(world, name)
    try:
        rank_of(process, stopped).suspend()
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        kill_group(process)
    assert process.returncode == 70
    alive = 1 - stopped
    told = err if alive == 0 else (run / "logs" / "rank-1.log").read_text()
    assert f"rank {stopped} (" in told and "does not answer" in told
    assert "Traceback" not in err
    stacks = (run / "logs" / f"stacks-rank-{alive}.txt").read_text()
    assert WAITING in stacks, stacks
    assert not (run / "logs" / f"stacks-rank-{stopped}.txt").exists()
    if alive == 0:
        [event] = [line for line in world.lines(name, "event") if line["name"] == "hang"]
        assert "rank 1" in event["what"]


def test_a_rank_that_is_slowed_down_is_reported(world: World) -> None:
    run = world.run_dir("slow")
    process = running(world, "slow", "resilience.stragglers.every=5")
    try:
        slow = rank_of(process, 1)
        deadline = time.monotonic() + PATIENCE
        while not slow_ranks(run):
            assert time.monotonic() < deadline and process.poll() is None
            slow.suspend()
            time.sleep(0.1)
            slow.resume()
            time.sleep(0.02)
    finally:
        kill_group(process)
    assert {rank for line in slow_ranks(run) for rank in line["stragglers"]} == {"1"}


def slow_ranks(run: Path) -> list[dict[str, object]]:
    from megakor.report.metrics import read_metrics

    return [line for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "ranks" and line["stragglers"]]
