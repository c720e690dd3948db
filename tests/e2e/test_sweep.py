"""`megakor cmr sweep` for real: two ratios from one base, stopped on the way, gone on with, and read by a fit."""

from __future__ import annotations

import signal

import pytest
from real_runs import BATCH, PATIENCE, World, wait_until

from megakor.data.audit import audit
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.report.metrics import read_metrics

pytestmark = pytest.mark.slow

STEPS = 8
WORDS = (
    *("cmr", "sweep", "run.yaml", "--base", "runs/english", "--domain", "korean", "--general", "english"),
    *("--ratios", "1/4,3/4", "--tokens", str(STEPS * BATCH), "--evaluations", "4", "--output", "runs/sweep"),
    "lr.peak=1e-3",
)
FIRST, SECOND = "sweep/ratio-0.2500-seed-7", "sweep/ratio-0.7500-seed-7"


def test_a_sweep_goes_on_where_it_was_stopped_and_can_be_fitted(world: World) -> None:
    world.pretrain("english", f"train.tokens={4 * BATCH}", "data.phases.0.weights={english: 1}")
    process = world.start(*WORDS)
    checkpoints = world.run_dir(FIRST) / "checkpoints"
    assert wait_until(process, lambda: any(checkpoints.glob("*/manifest.json")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130

    ended = world.megakor(*WORDS)
    assert ended.code == 0, ended.err
    assert "goes on from tokens-" in ended.out and "next: megakor cmr fit runs/sweep" in ended.out
    reached = {source: loss for (step, source), loss in world.validation("english").items() if step == 4}
    for name, ratio in ((FIRST, 0.25), (SECOND, 0.75)):
        began = {source: loss for (step, source), loss in world.validation(name).items() if step == 0}
        assert began == pytest.approx(reached, abs=1e-6)
        assert list(world.losses(name)) == list(range(1, STEPS + 1))
        assert audit(world.run_dir(name) / "ledger.jsonl", STEPS * BATCH) == []
        last = world.lines(name, "train")[-1]
        assert last["sources"]["korean"]["tokens"] == pytest.approx(ratio * STEPS * BATCH, abs=128)
        assert not list((world.run_dir(name) / "checkpoints").iterdir())
    found = read_sweep([world.run_dir("sweep")], Roles((), ()))
    assert [run.ratio for run in found.runs] == [0.25, 0.75]
    assert [len(run.tokens) for run in found.runs] == [4, 4]
    attempts = [line for line in read_metrics(world.run_dir(FIRST) / "metrics.jsonl") if line.get("name") == "resume"]
    assert len(attempts) == 1
