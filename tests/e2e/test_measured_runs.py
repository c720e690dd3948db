"""Runs with probes, distances of weights and gaps: what they tell, and that a restart tells the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from real_runs import BATCH, STEPS, World

from megakor.data.account import account

pytestmark = pytest.mark.slow

SECOND_PHASE = 5
"""Step after which a phase with an evaluation grid of its own begins."""
PHASES = [
    {"name": "base", "tokens": SECOND_PHASE * BATCH, "weights": {"english": 1.0}},
    {
        "name": "domain",
        "weights": {"korean": 1.0},
        "evaluation": {"every": 3 * BATCH, "early": [BATCH]},
    },
]
ITEM = {"question": "The weather", "choices": [" is fine today", " zzz qqq"], "answer": 0, "domain": "general"}
WORDS = (
    f"data.phases={json.dumps(PHASES)}",
    "data.sources.korean.tags=[domain]",
    "data.sources.english.tags=[general]",
    "evaluation.probes={facts: {path: facts.jsonl}, copying: {kind: copying, items: 4, length: 16}}",
    "report.weight_distance=true",
    "checkpoint.keep=1",
)
POINTS = [0, 4, 5, 6, 8, 11, 12]
"""Steps with an evaluation: the run's grid, every 4 steps; then the phase's, 0, 1, 3 and 6 steps from its start; and
the end."""


@pytest.fixture(scope="module")
def whole(world: World) -> str:
    (world.directory / "facts.jsonl").write_text(json.dumps(ITEM) + "\n", encoding="utf-8")
    world.pretrain("measured", *WORDS)
    return "measured"


def told(world: World, name: str) -> list[dict[str, Any]]:
    """What was measured, without the clock."""
    kinds = ("validation", "probe", "weights", "gap")
    return [{**line, "time": 0} for kind in kinds for line in world.lines(name, kind)]


def test_everything_is_measured_on_the_grid_of_the_run_and_of_the_phase(world: World, whole: str) -> None:
    for kind in ("validation", "probe", "weights"):
        assert sorted({line["tokens"] for line in world.lines(whole, kind)}) == [step * BATCH for step in POINTS]
    assert {line["probe"] for line in world.lines(whole, "probe")} == {"facts", "copying"}


def test_gaps_and_weights_are_measured_against_the_start_of_the_phase(world: World, whole: str) -> None:
    ends = {
        line["tokens"]: line["first"]
        for line in world.lines(whole, "gap")
        if line["final"] and line["series"] == "domain/loss"
    }
    losses = {line["tokens"]: line["loss"] for line in world.lines(whole, "validation") if line["source"] == "korean"}
    start = SECOND_PHASE * BATCH
    assert ends == {start: losses[0], STEPS * BATCH: losses[start]}
    moved = {line["tokens"]: line["distance"] for line in world.lines(whole, "weights")}
    assert moved[0] == 0
    assert 0 < moved[start + BATCH] < moved[start]


def test_a_restart_tells_the_same_although_old_checkpoints_go(world: World, whole: str) -> None:
    world.pretrain("measured-again", *WORDS, f"train.tokens={9 * BATCH}")
    kept = {path.name for path in (world.run_dir("measured-again") / "checkpoints").glob("tokens-*")}
    assert kept == {f"tokens-{step * BATCH:012d}" for step in (SECOND_PHASE, 9)}
    ended = world.pretrain("measured-again", *WORDS)
    assert "resuming at" in ended.out
    again = [line for line in told(world, "measured-again") if line["tokens"] != 9 * BATCH]
    assert again == told(world, whole)
    assert account(world.run_dir("measured-again") / "ledger.jsonl").attempts == 2
