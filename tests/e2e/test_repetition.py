"""A run that reads a part of a source several times: drawn anew for every epoch, to its cap, on other layouts."""

from __future__ import annotations

import pytest
from real_runs import BATCH, World, checkpoint_path

from megakor.data.account import account
from megakor.data.audit import audit
from megakor.errors import ExitCode

pytestmark = pytest.mark.slow

PART = (
    "data.sources.korean.subset={tokens: 1Ki, resample: true}",
    "data.sources.korean.epochs=4",
    "data.sources.korean.exhausted=stop",
    "data.sources.english.order=file",
)
READ = 8
"""Batches until Korean, half of each, has been read four times."""


@pytest.fixture(scope="module")
def stopped(world: World) -> str:
    world.pretrain("stopped", *PART)
    return "stopped"


def test_a_run_stops_at_the_cap_of_a_part_and_is_done(world: World, stopped: str) -> None:
    assert list(world.losses(stopped)) == list(range(1, READ + 1))
    (event,) = [line for line in world.lines(stopped, "event") if line["name"] == "data_exhausted"]
    assert "'korean' has been read for its 4 epochs" in event["why"]
    assert checkpoint_path(world.run_dir(stopped), READ).is_dir()
    ledger = world.run_dir(stopped) / "ledger.jsonl"
    assert audit(ledger, READ * BATCH) == []
    korean = next(total for total in account(ledger).sources if total.name == "korean")
    assert (korean.tokens, korean.epochs, korean.unread) == (4 * BATCH, 4.0, 0)
    assert korean.outside > 0


def test_the_part_of_every_epoch_is_the_same_on_another_layout_and_after_a_resume(world: World, stopped: str) -> None:
    world.copy_run(stopped, "stopped-two", 2)
    world.pretrain("stopped-two", *PART, "--nproc", "2")
    assert world.losses("stopped-two") == pytest.approx(world.losses(stopped), abs=1e-5)
    assert audit(world.run_dir("stopped-two") / "ledger.jsonl", READ * BATCH) == []


def test_a_cap_that_fails_is_an_error_of_the_data(world: World, stopped: str) -> None:
    world.copy_run(stopped, "failed", READ)
    ended = world.megakor("pretrain", "run.yaml", "run.dir=runs/failed", *PART, "data.sources.korean.exhausted=fail")
    assert ended.code == ExitCode.DATA
    assert "raise data.sources.korean.epochs" in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
