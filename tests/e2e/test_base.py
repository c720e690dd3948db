"""Runs that begin with the checkpoint of another run."""

from __future__ import annotations

import pytest
from real_runs import BATCH, World, checkpoint_path

from megakor.data.audit import audit

pytestmark = pytest.mark.slow

BASE, STEPS = 4, 4
SHORT = (f"train.tokens={STEPS * BATCH}", "evaluation.every=2Ki", "run.seed=9")
OPTIMIZER = ("run.base=runs/weights", "run.base_optimizer=true")


@pytest.fixture(scope="module")
def begun(world: World) -> str:
    world.pretrain("weights", f"train.tokens={BASE * BATCH}")
    world.pretrain("begun-with-weights", *SHORT, *OPTIMIZER, "report.weight_distance=true")
    return "begun-with-weights"


def test_a_run_begins_with_the_losses_of_its_base_and_counts_from_zero(world: World, begun: str) -> None:
    reached = {source: loss for (step, source), loss in world.validation("weights").items() if step == BASE}
    found = {source: loss for (step, source), loss in world.validation(begun).items() if step == 0}
    assert found == pytest.approx(reached, abs=1e-6)
    assert list(world.losses(begun)) == list(range(1, STEPS + 1))
    assert audit(world.run_dir(begun) / "ledger.jsonl", STEPS * BATCH) == []
    (event,) = [line for line in world.lines(begun, "event") if line["name"] == "base"]
    assert event["checkpoint"] == f"runs/weights/checkpoints/{checkpoint_path(world.run_dir('weights'), BASE).name}"


def test_a_run_resumes_on_another_layout_when_its_base_is_gone(world: World, begun: str) -> None:
    world.copy_run(begun, "layout-of-weights", 2)
    hidden = world.run_dir("weights").rename(world.directory / "hidden")
    try:
        layout = ("parallel.tensor=2", "parallel.sequence=true", "--nproc", "2")
        world.pretrain("layout-of-weights", *SHORT, *OPTIMIZER, "report.weight_distance=true", *layout)
    finally:
        hidden.rename(world.run_dir("weights"))
    assert world.losses("layout-of-weights") == pytest.approx(world.losses(begun), abs=1e-5)
    notes = [line["text"] for line in world.lines("layout-of-weights", "event") if line["name"] == "note"]
    assert any("run.base is gone" in note for note in notes)


def test_weights_alone_begin_a_run_on_any_layout(world: World, begun: str) -> None:
    layout = ("parallel.pipeline=2", "train.micro_batch_size=2", "--nproc", "2")
    world.pretrain("weights-alone", *SHORT, "run.base=runs/weights", *layout)
    first = {source: loss for (step, source), loss in world.validation(begun).items() if step == 0}
    found = {source: loss for (step, source), loss in world.validation("weights-alone").items() if step == 0}
    assert found == pytest.approx(first, abs=1e-5)
    # The same batches: the first step's loss agrees, and those after steps with other moments do not.
    assert world.losses("weights-alone")[1] == pytest.approx(world.losses(begun)[1], abs=1e-5)
    assert world.losses("weights-alone")[3] != pytest.approx(world.losses(begun)[3], abs=1e-5)
