"""A real run whose mixture is steered by its validation losses, and the same run after `kill -9`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest
from real_runs import BATCH, STEPS, World, checkpoint_path, kill_when, train_lines

from megakor.data.account import account
from megakor.data.audit import audit

pytestmark = pytest.mark.slow

FIRST = 5
"""Steps of the phase that is reweighted; in the rest of the run replay is steered."""
CONTROLLER = {"tolerance": 0.02, "minimum": 0.1, "maximum": 0.6, "step": 0.1, "patience": 1, "every": BATCH}
PHASES = [
    {
        "name": "mix",
        "tokens": FIRST * BATCH,
        "weights": {"english": 0.7, "korean": 0.3},
        "reweighting": {"every": 2 * BATCH, "strength": 0.4},
    },
    {
        "name": "domain",
        "weights": {"korean": 1.0},
        "replay": {"source": "english", "ratio": 0.3, "controller": CONTROLLER},
    },
]
WORDS = (
    "--nproc",
    "2",
    "parallel.distributed_optimizer=true",
    f"data.phases={json.dumps(PHASES)}",
    "report.tensorboard=true",
)


@pytest.fixture(scope="module")
def calm(world: World) -> str:
    world.pretrain("steered", *WORDS)
    return "steered"


def decisions(world: World, name: str) -> list[dict[str, Any]]:
    lines = world.lines(name, "event")
    return [{**line, "time": 0} for line in lines if line["name"] == "decision"]


def test_shares_follow_decisions_and_everything_that_tells_of_them_agrees(world: World, calm: str) -> None:
    made = decisions(world, calm)
    assert {line["controller"] for line in made} == {"reweighting", "replay"}
    intended = {line["tokens"]: line["sources"]["english"]["intended"] for line in world.lines(calm, "train")}
    shares = {0: 0.7, FIRST * BATCH: 0.3} | {line["tokens"]: line["after"]["english"] for line in made}
    for tokens in range(0, STEPS * BATCH, BATCH):
        latest = max(start for start in shares if start <= tokens)
        assert intended[tokens + BATCH] == pytest.approx(shares[latest])
    losses = {(line["tokens"], line["source"]): line["loss"] for line in world.lines(calm, "validation")}
    for line in made:
        assert all(loss == losses[line["tokens"], name] for name, loss in line["losses"].items())
    path = world.run_dir(calm) / "ledger.jsonl"
    assert audit(path, STEPS * BATCH) == []
    starts = [entry.clock[0] for entry in account(path).ranges]
    assert starts == sorted(start for start in shares if start < STEPS * BATCH)


def test_a_run_that_is_killed_decides_reads_and_computes_what_an_uninterrupted_one_does(
    world: World, calm: str
) -> None:
    def told(steps: int) -> bool:
        return train_lines(world.run_dir("steered-killed")) >= steps

    moments = [(steps, partial(told, steps)) for steps in (3, 6)]
    for steps, now in moments:
        process = world.start("pretrain", "run.yaml", "run.dir=runs/steered-killed", *WORDS)
        assert kill_when(process, now), f"the run ended before step {steps}"
    world.pretrain("steered-killed", *WORDS)
    assert decisions(world, "steered-killed") == decisions(world, calm)
    assert world.losses("steered-killed") == world.losses(calm)
    assert world.validation("steered-killed") == world.validation(calm)
    killed, whole = (asdict(account(world.run_dir(name) / "ledger.jsonl")) for name in ("steered-killed", calm))
    for found in (killed, whole):
        del found["attempts"], found["superseded_tokens"]
    assert killed == whole
    ends = [checkpoint_path(world.run_dir(name), STEPS) for name in ("steered-killed", calm)]
    weights = [{path.name: path.read_bytes() for path in end.glob("*.distcp")} for end in ends]
    assert weights[0] and weights[0] == weights[1]
