"""`megakor cmr sweep` for real: two ratios from one base, stopped on the way, gone on with, and read by a fit; and as a
Slurm array."""

from __future__ import annotations

import signal

import pytest
from real_runs import BATCH, PATIENCE, World, wait_until
from slurm_cluster import SlurmCluster
from slurm_runs import ROOT, SlurmRuns

from megakor.data.audit import audit
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.report.metrics import read_metrics

pytestmark = pytest.mark.slow

STEPS = 8
RATIOS = (
    *("--domain", "korean", "--general", "english", "--ratios", "1/4,3/4"),
    *("--tokens", str(STEPS * BATCH), "--evaluations", "4", "lr.peak=1e-3"),
)
WORDS = ("cmr", "sweep", "run.yaml", "--base", "runs/english", "--output", "runs/sweep", *RATIOS)
FIRST, SECOND = "sweep/ratio-0.2500-seed-7", "sweep/ratio-0.7500-seed-7"


@pytest.fixture(scope="module")
def base(world: World) -> str:
    world.pretrain("english", f"train.tokens={4 * BATCH}", "data.phases.0.weights={english: 1}")
    return "english"


def test_a_sweep_goes_on_where_it_was_stopped_and_can_be_fitted(world: World, base: str) -> None:
    process = world.start(*WORDS)
    checkpoints = world.run_dir(FIRST) / "checkpoints"
    assert wait_until(process, lambda: any(checkpoints.glob("*/manifest.json")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130

    ended = world.megakor(*WORDS)
    assert ended.code == 0, ended.err
    assert "goes on from tokens-" in ended.out and "next: megakor cmr fit runs/sweep" in ended.out
    reached = {source: loss for (step, source), loss in world.validation(base).items() if step == 4}
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


def test_every_task_of_a_slurm_array_takes_a_share_of_the_runs(world: World, base: str, slurm: SlurmCluster) -> None:
    runs, log = SlurmRuns(slurm, world), world.directory / "sweep-%a.log"
    task = ("--array=0-1", "--gpus-per-node=0", "--cpus-per-task=1", f"--output={log}", "slurm/cmr_sweep.sh")
    where = ("--base", str(world.run_dir(base)), "--output", str(world.run_dir("array")))
    config = str(runs.configure("sweep", STEPS))
    ended = slurm.finish(slurm.sbatch([*task, config, *where, *RATIOS], ROOT, runs.environment))
    said = [path.read_text() for path in world.directory.glob("sweep-*.log")]
    assert [(task.state, task.exit_code) for task in ended] == [("COMPLETED", "0:0")] * 2, said
    assert all(text.count("megakor pretrain") == 1 for text in said), said
    found = read_sweep([world.run_dir("array")], Roles((), ()))
    assert [run.ratio for run in found.runs] == [0.25, 0.75]
    for ratio in ("0.2500", "0.7500"):
        assert list(world.losses(f"array/ratio-{ratio}-seed-7")) == list(range(1, STEPS + 1))
