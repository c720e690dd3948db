"""Runs that are asked to stop, by every signal and by the clock, wherever they are: they save, say so with their exit
code, and what they compute in all is what a run that nobody stopped computes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from real_runs import BATCH, PATIENCE, STEPS, World, kill_group, train_lines, wait_until, writes_checkpoint

from megakor.checkpoint.listing import list_checkpoints
from megakor.data.audit import audit
from megakor.resilience.time_limit import SLURM_END

pytestmark = pytest.mark.slow

PROBE = "evaluation.probes={copies: {kind: copying, items: 400, length: 24}}"
"""Long enough for a signal to find a run inside an evaluation."""


@pytest.fixture(scope="module")
def calm(world: World) -> str:
    world.pretrain("calm", PROBE)
    return "calm"


def starting(world: World, name: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return world.start("pretrain", "run.yaml", f"run.dir=runs/{name}", PROBE, *words, **environment)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        kill_group(process)
    assert "Traceback" not in err
    return process.returncode, err


def stop(process: subprocess.Popen[str], when: Callable[[], bool], *signals: signal.Signals) -> int:
    """Send signals as soon as the run is somewhere; its exit code."""
    assert wait_until(process, when), ended(process)
    for number in signals:
        process.send_signal(number)
    return ended(process)[0]


def in_training(run: Path, steps: int) -> Callable[[], bool]:
    return lambda: train_lines(run) >= steps


def in_evaluation(run: Path, step: int) -> Callable[[], bool]:
    """Losses have been told, and the probe has not."""
    metrics = run / "metrics.jsonl"
    place = b'"tokens": %d, "source"' % (step * BATCH)
    return lambda: metrics.exists() and place in metrics.read_bytes()


def check_as_calm(world: World, name: str, calm: str) -> None:
    """Goes on to the end, and compares."""
    world.pretrain(name, PROBE)
    assert world.losses(name) == world.losses(calm)
    assert world.validation(name) == world.validation(calm)
    probes = [{line["tokens"]: line["copying_gain"] for line in world.lines(run, "probe")} for run in (name, calm)]
    assert probes[0] == probes[1]
    assert audit(world.run_dir(name) / "ledger.jsonl", STEPS * BATCH) == []


def test_requests_in_training_evaluation_and_checkpointing_lose_nothing(world: World, calm: str) -> None:
    run = world.run_dir("stopped")
    saved = run / "checkpoints"
    assert stop(starting(world, "stopped"), in_training(run, 1), signal.SIGUSR1, signal.SIGUSR1) == 75
    first = list_checkpoints(saved)[-1]
    assert first.step == train_lines(run), "what was trained has been saved"

    assert stop(starting(world, "stopped"), in_evaluation(run, 4), signal.SIGUSR2) == 75
    assert [line["tokens"] for line in world.lines("stopped", "probe")] == [0], "stopped inside the evaluation"
    assert list_checkpoints(saved)[-1].step == 4

    steps = train_lines(run)
    checkpointing = starting(world, "stopped")
    assert stop(checkpointing, lambda: train_lines(run) > steps + 1 and writes_checkpoint(run), signal.SIGTERM) == 0
    assert not writes_checkpoint(run)
    assert list_checkpoints(saved)[-1].step == max(world.losses("stopped"))
    stops = [(line["why"], line["requeue"]) for line in world.lines("stopped", "event") if line["name"] == "stopped"]
    assert stops == [("SIGUSR1", True), ("SIGUSR2", True), ("SIGTERM", False)]
    check_as_calm(world, "stopped", calm)


def test_two_ranks_stop_at_the_same_step(world: World) -> None:
    run = world.run_dir("stopped-two")
    words = ("--nproc", "2", "parallel.distributed_optimizer=true", "evaluation.probes={}")
    assert stop(starting(world, "stopped-two", *words), in_training(run, 2), signal.SIGUSR1) == 75
    # A signal that one rank alone has heard stops all.
    process = starting(world, "stopped-two", *words)
    before = train_lines(run)
    wait_until(process, lambda: train_lines(run) > before)
    rank_of(process, 1).send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0
    whole = list_checkpoints(run / "checkpoints")
    assert whole[-1].step == train_lines(run) < STEPS
    assert world.lines("stopped-two", "event")[-1]["why"] == "another rank"


def rank_of(process: subprocess.Popen[str], rank: int) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    return next(child for child in children if child.environ().get("RANK") == str(rank))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 0)])
def test_a_start_that_is_stopped_ends_at_once_and_saves_nothing(
    world: World, number: signal.Signals, code: int
) -> None:
    name = f"start-{number.name}"
    run = world.run_dir(name)
    assert stop(starting(world, name, "--nproc", "2"), (run / "logs").exists, number) == code
    # The process groups are there, and the run is being opened.
    assert stop(starting(world, name, "--nproc", "2"), (run / "lock").exists, number) == code
    assert list_checkpoints(run / "checkpoints") == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 70)])
def test_the_end_of_the_grace_ends_a_run_inside_a_collective(world: World, number: signal.Signals, code: int) -> None:
    name = f"grace-{number.name}"
    process = starting(world, name, "--nproc", "2", "resilience.grace_seconds=1.5", "train.tokens=1M")
    wait_until(process, in_training(world.run_dir(name), 1))
    rank_of(process, 1).suspend()
    process.send_signal(number)
    found, err = ended(process)
    assert found == code
    assert f"within 1.5 s after {number.name}" in err


def test_a_second_ctrl_c_does_not_wait(world: World) -> None:
    process = starting(world, "impatient", "--nproc", "2", "train.tokens=1M")
    wait_until(process, in_training(world.run_dir("impatient"), 1))
    rank_of(process, 1).suspend()
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130


def test_the_time_limit_of_slurm_asks_for_a_requeue(world: World) -> None:
    words = ("resilience.stop_before_seconds=4", "train.tokens=1M")
    for seconds in (16, 64, 256):  # a busy machine may need more than a few to come to its first step
        end = str(int(time.time()) + seconds)
        code, _ = ended(starting(world, "limit", *words, **{SLURM_END: end}))
        assert code == 75
        if list_checkpoints(world.run_dir("limit") / "checkpoints"):
            break
    assert list_checkpoints(world.run_dir("limit") / "checkpoints")
    assert world.lines("limit", "event")[-1]["why"] == "the time limit"
    assert os.environ.get(SLURM_END) is None
