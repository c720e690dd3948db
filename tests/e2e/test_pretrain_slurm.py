"""The trainer under a real Slurm of two nodes: time limits, preemption, killed ranks and dead nodes, and in the end the
losses of a run that nothing has happened to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from real_runs import BATCH, WAITING, World
from slurm_cluster import SlurmCluster
from slurm_runs import EVALUATE_EVERY, MINUTES, NOTICE, SlurmRuns

from megakor.checkpoint.listing import list_checkpoints

pytestmark = pytest.mark.slow
SAVED_WHEN_ASKED = "checkpoint.every=100M"
SAVE_EVERY = 4
"""Steps."""
SAVED_OFTEN = f"checkpoint={{every: {SAVE_EVERY * BATCH}, keep: 2}}"
CHAIN = ("--array=1-3%1",)
LOST_AFTER = "5"
"""Seconds that ranks on a dead node, or stopped ones, are waited for when another rank has ended."""
HANGS_SOON = "resilience.hang={step_seconds: 8, evaluation_seconds: 8, checkpoint_seconds: 8, start_seconds: 120}"


@pytest.fixture(scope="module")
def runs(slurm: SlurmCluster, world: World) -> SlurmRuns:
    return SlurmRuns(slurm, world)


@pytest.fixture(autouse=True)
def _nothing_is_left(slurm: SlurmCluster) -> Iterator[None]:
    yield
    slurm.clear()


@pytest.fixture(scope="module")
def calm(runs: SlurmRuns) -> Callable[[int, int], str]:
    """A run of so many ranks and at least so many steps that nothing interrupts, without Slurm."""
    made: dict[int, int] = {}

    def calm_run(ranks: int, steps: int) -> str:
        steps += -steps % EVALUATE_EVERY
        if made.get(ranks, 0) < steps:
            made[ranks] = steps
            config = runs.configure(f"calm-{ranks}-{steps}", steps)
            runs.world.pretrain(config.stem, SAVED_WHEN_ASKED, "--nproc", str(ranks), config=config.name)
        return f"calm-{ranks}-{made[ranks]}"

    return calm_run


def test_a_run_whose_time_is_up_twice_ends_as_one_that_nothing_interrupts(
    runs: SlurmRuns, calm: Callable[[int, int], str]
) -> None:
    name, ranks = "limited", 4
    job = runs.submit(name, ranks, 100_000, SAVED_WHEN_ASKED)
    for restarts in range(2):
        runs.wait_for_steps(name, job, restarts)
        runs.let_time_run_out(name, job, NOTICE)
    # How far the run comes before Slurm tells it is not known, so its end is set while it waits in the queue.
    steps = (list_checkpoints(runs.run(name) / "checkpoints")[-1].step // EVALUATE_EVERY + 1) * EVALUATE_EVERY
    runs.configure(name, steps)
    ended = runs.finish(name, job)
    assert (ended.state, ended.exit_code, ended.restarts) == ("COMPLETED", "0:0", 2), runs.said(name)

    runs.check_as_calm(name, calm(ranks, steps))
    assert max(runs.world.losses(name)) == steps
    log = runs.log_path(name).read_text()
    assert log.count("4 ranks on node[1-2]") == 3
    assert log.count("saved, as it was asked to; goes on from tokens-") == 2
    assert log.count("back into the queue") == 2
    assert log.count("exit code 0") == 1
    assert {path.name for path in runs.run(name).glob("logs/rank-*.log")} == {f"rank-{rank}.log" for rank in (1, 2, 3)}


def test_a_run_goes_on_after_all_that_befalls_a_cluster_until_it_is_cancelled(
    runs: SlurmRuns, calm: Callable[[int, int], str]
) -> None:
    name, slurm = "befallen", runs.slurm
    job = runs.submit(name, 2, 100_000, SAVED_OFTEN, SLURM_WAIT=LOST_AFTER)
    runs.wait_for_steps(name, job, more=2 * SAVE_EVERY + 1)  # the first checkpoint is whole

    runs.rank(name, 1).kill()
    runs.wait_for_steps(name, job, restarts=1)
    assert "a rank was lost; goes on from tokens-" in runs.log_path(name).read_text()

    slurm.restart_controller()
    runs.wait_for_steps(name, job, restarts=1)

    urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true"]
    slurm.sbatch(urgent, runs.world.directory)
    runs.wait_for_steps(name, job, restarts=2)

    if slurm.isolated:
        slurm.crash("node2")  # the other ranks notice, and the job waits for the node
        runs.wait_for_requeue(name, job, 3)
        slurm.boot("node2")
    else:
        runs.rank(name, 0).kill()
    runs.wait_for_steps(name, job, restarts=3)

    slurm.set_down("node2")
    runs.wait_for_requeue(name, job, 4)
    slurm.resume("node2")
    runs.wait_for_steps(name, job, restarts=4)

    slurm.command("scancel", job)
    ended = runs.finish(name, job)
    assert (ended.state, ended.restarts) == ("CANCELLED", 4), runs.said(name)
    newest = list_checkpoints(runs.run(name) / "checkpoints")[-1]
    assert newest.step == max(runs.world.losses(name)), "it has saved"
    runs.check_as_calm(name, calm(2, newest.step))


def test_submitit_requeues_a_run_whose_time_is_up(runs: SlurmRuns, calm: Callable[[int, int], str]) -> None:
    name = "launched"
    config = runs.configure(name, 100_000)
    words = (f"run.dir={runs.run(name)}", "cluster.nodes=2", "cluster.devices_per_node=1", SAVED_WHEN_ASKED)
    launched = runs.world.megakor(
        *("launch", config.name, "--executor", "slurm", "--time", str(MINUTES), "--cpus-per-task", "1", *words),
        **runs.slurm.environment,
    )
    assert launched.code == 0, launched.err
    job = json.loads((runs.run(name) / "launch/submission.json").read_text())["job"]
    runs.wait_for_steps(name, job)
    runs.let_time_run_out(name, job, 10)
    runs.wait_for_steps(name, job, restarts=1)

    status = runs.world.megakor("status", str(runs.run(name)), **runs.slurm.environment)
    assert f"Slurm job {job}: RUNNING on node[1-2], start 2" in status.out, status.err
    asked = runs.world.megakor("stop", str(runs.run(name)), **runs.slurm.environment)
    assert "asked to save and stop" in asked.out, asked.err
    ended = runs.finish(name, job)
    assert (ended.state, ended.exit_code, ended.restarts) == ("COMPLETED", "0:0", 1), runs.said(name)
    runs.check_as_calm(name, calm(2, max(runs.world.losses(name))))


def test_where_requeueing_is_forbidden_the_next_job_of_a_chain_goes_on_after_a_hang(
    runs: SlurmRuns, calm: Callable[[int, int], str]
) -> None:
    name, steps = "chain", 16 * EVALUATE_EVERY
    array = runs.submit(name, 2, steps, SAVED_OFTEN, HANGS_SOON, options=CHAIN, SLURM_WAIT=LOST_AFTER, CHAIN="1")
    first, second, third = (f"{array}_{number}" for number in (1, 2, 3))
    runs.wait_for_steps(name, first, more=2 * SAVE_EVERY + 1)
    runs.rank(name, 1).suspend()
    for job, state in {first: "COMPLETED", second: "COMPLETED", third: "CANCELLED"}.items():
        ended = runs.finish(name, job)
        assert (ended.state, ended.restarts) == (state, 0), runs.said(name)
    log = runs.log_path(name).read_text()
    assert "rank 1 (" in log and "does not answer" in log
    assert log.count("a rank was lost; goes on from tokens-") == log.count("the next task of the array goes on") == 1
    assert WAITING in (runs.run(name) / "logs/stacks-rank-0.txt").read_text()
    assert max(runs.world.losses(name)) == steps
    runs.check_as_calm(name, calm(2, steps))


def test_a_wrong_setting_ends_the_job_with_its_code_before_any_rank_starts(runs: SlurmRuns) -> None:
    job = runs.submit("wrong", 4, 100_000, "train.tokens=-1")
    ended = runs.finish("wrong", job)
    assert (ended.state, ended.exit_code) == ("FAILED", "2:0"), runs.said("wrong")
    assert "train.tokens" in runs.log_path("wrong").read_text()
    assert not runs.run("wrong").exists()
