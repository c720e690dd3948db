"""Numbers that go wrong in real runs, under each policy: what is skipped, what the ledger and the reports say of it,
and that a kill anywhere changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from poison import BATCHES, NAN_BATCH, NOISE_BATCH, poisoned, weights
from real_runs import BATCH, World, kill_when, train_lines

from megakor.data.account import account
from megakor.data.audit import audit

pytestmark = pytest.mark.slow

TWO = ("--nproc", "2", "parallel.distributed_optimizer=true")
SKIP = "not_finite: skip_update, loss_spike: skip_data, skip_tokens: 2Ki"
BACK = "not_finite: rollback, loss_spike: rollback, back: 2"
Words = tuple[str, ...]


def anomalies(policy: str) -> str:
    return f"resilience.anomalies={{window: 4, least: 4, loss_score: 2.5, gradient_score: 1e9, {policy}}}"


@pytest.fixture(scope="module")
def poison(world: World) -> World:
    poisoned(world)
    return world


def start(world: World, name: str, policy: str, words: Words) -> subprocess.Popen[str]:
    return world.start("pretrain", "poison.yaml", f"run.dir=runs/{name}", anomalies(policy), *words)


def finish(world: World, name: str, policy: str, words: Words) -> str:
    world.pretrain(name, anomalies(policy), *words, config="poison.yaml")
    return name


@pytest.fixture(scope="module")
def skipped(poison: World) -> str:
    return finish(poison, "skipped", SKIP, TWO)


@pytest.fixture(scope="module")
def went_back(poison: World) -> str:
    return finish(poison, "went-back", BACK, TWO)


def named(world: World, name: str, event: str) -> list[dict[str, Any]]:
    return [line for line in world.lines(name, "event") if line["name"] == event]


def untrained(world: World, name: str) -> list[int]:
    """Global batches, counted from 0, that are not in the weights, by the ledger."""
    lines = [json.loads(text) for text in (world.run_dir(name) / "ledger.jsonl").read_text().splitlines()]
    from megakor.data.ledger import surviving

    ranges = [line["clock"] for line in surviving(lines) if line["use"] == "skipped"]
    return sorted(batch for start, stop in ranges for batch in range(start // BATCH, stop // BATCH))


def check_books(world: World, name: str, batches: list[int]) -> None:
    assert untrained(world, name) == batches
    assert audit(world.run_dir(name) / "ledger.jsonl", BATCHES * BATCH) == []
    [total] = account(world.run_dir(name) / "ledger.jsonl").sources
    assert (total.skipped, total.tokens) == (len(batches) * BATCH, (BATCHES - len(batches)) * BATCH)


def test_an_update_and_data_are_skipped_and_accounted_for(poison: World, skipped: str) -> None:
    check_books(poison, skipped, [NAN_BATCH, NOISE_BATCH, NOISE_BATCH + 1, NOISE_BATCH + 2])
    found = [(line["tokens"], line["anomaly"], line["action"]) for line in named(poison, skipped, "anomaly")]
    first, second = (NAN_BATCH + 1) * BATCH, (NOISE_BATCH + 1) * BATCH
    assert found == [(first, "not_finite", "skip_update"), (second, "loss_spike", "skip_data")]
    assert [line["tokens"] for line in poison.lines(skipped, "train") if line["skipped"]] == [first, second]
    [passed] = named(poison, skipped, "data_skipped")
    assert (passed["begins"], passed["until"]) == (second, second + 2 * BATCH)
    assert all(line["loss"] < 10 for line in poison.lines(skipped, "validation"))


def test_a_run_goes_back_and_passes_over_what_led_there(poison: World, went_back: str) -> None:
    check_books(poison, went_back, [4, 5, 6, 8, 9, 10, 11])
    found = [
        (line["tokens"], line["passed_over_until"], line["anomaly"]) for line in named(poison, went_back, "rollback")
    ]
    first, second = (4, NAN_BATCH + 1, "not_finite"), (8, NOISE_BATCH + 1, "loss_spike")
    assert found == [(back * BATCH, past * BATCH, what) for back, past, what in (first, second)]
    trained = [line["tokens"] // BATCH - 1 for line in poison.lines(went_back, "train")]
    assert trained == [0, 1, 2, 3, 7, 12, 13, 14, 15]


def test_one_rank_decides_as_two_do(poison: World, skipped: str, went_back: str) -> None:
    for policy, two in ((SKIP, skipped), (BACK, went_back)):
        one = finish(poison, f"{two}-alone", policy, ())
        assert untrained(poison, one) == untrained(poison, two)
        assert list(poison.losses(one)) == list(poison.losses(two))


@pytest.mark.parametrize(("policy", "whole"), [(SKIP, "skipped"), (BACK, "went_back")])
def test_kills_change_nothing(poison: World, policy: str, whole: str, request: pytest.FixtureRequest) -> None:
    calm, name = request.getfixturevalue(whole), f"killed-{whole}"
    run = poison.run_dir(name)
    decided: Callable[[], bool] = (run / "rollbacks.json").exists
    for now in (decided if policy == BACK else lambda: train_lines(run) > NAN_BATCH, lambda: train_lines(run) >= 12):
        assert kill_when(start(poison, name, policy, TWO), now)
    finish(poison, name, policy, TWO)
    assert repr(poison.losses(name)) == repr(poison.losses(calm))
    assert weights(run) == weights(poison.run_dir(calm))
    assert untrained(poison, name) == untrained(poison, calm)
    assert rollbacks(run) == rollbacks(poison.run_dir(calm))


def rollbacks(run: Path) -> list[dict[str, Any]]:
    path = run / "rollbacks.json"
    return json.loads(path.read_text()) if path.exists() else []


@pytest.mark.parametrize(
    ("policy", "words", "told"),
    [
        ("not_finite: stop", (), "the loss is nan"),
        (f"{BACK}, most_rollbacks: 1", TWO, "gone back 1 times already"),
    ],
)
def test_a_stop_is_said_once_and_said_again(poison: World, policy: str, words: Words, told: str) -> None:
    name = f"stops-{len(words)}"
    for _ in range(2):
        process = start(poison, name, policy, words)
        _, err = process.communicate()
        assert process.returncode == 76
        assert told in err and err.count("error: ") == 1 and "Traceback" not in err
    finish(poison, name, SKIP, ())
    assert NAN_BATCH in untrained(poison, name)
