"""`megakor cmr sweep`: what it plans, what it runs again, and what it refuses."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from megakor.checkpoint.manifest import Manifest, write_manifest
from megakor.config.load import load_config, save_config
from megakor.config.schema import Config
from megakor.errors import ConfigError, DataError, MegakorError
from megakor.launch.in_turn import Command, last_words, run_command
from megakor.laws.cmr_sweep import main, run_sweep
from megakor.laws.sweep_plan import PlannedRun, SweepSettings, check_overrides, plan_sweep
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.laws.sweep_state import check_unchanged
from megakor.report.metrics import MetricsFile
from megakor.report.records import ValidationRecord

CONFIG = """\
run: {seed: 5}
model: {layers: 2, hidden_size: 64, ffn_hidden_size: 128, attention_heads: 4, vocabulary_size: 1000}
train: {tokens: 1M, global_batch_size: 8Ki, sequence_length: 256}
lr: {peak: 1e-3, schedule: wsd, warmup: 20K}
data:
  tokenizer: nowhere/tokenizer
  sources:
    korean: {path: nowhere/ko, language: ko, tags: [web]}
    english: {path: nowhere/en, language: en, tags: [domain]}
    wiki: {path: nowhere/wiki, language: en}
    code: {path: nowhere/code, language: code}
  phases:
    - {name: first, tokens: 500K, weights: {korean: 1, english: 1}, sequence_length: 128}
    - {name: main, weights: {korean: 1, english: 3, wiki: 1, code: 1}}
"""
ROLES = Roles(general=("english", "wiki"), domain=("korean",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path / "run.yaml"


@pytest.fixture
def config(path: Path) -> Config:
    return load_config(path)


def settings(output: Path, **changed: object) -> SweepSettings:
    values = {
        "base": None,
        "base_optimizer": False,
        "roles": ROLES,
        "ratios": (0.25, 1.0),
        "tokens": 320 * 1024,
        **changed,
    }
    return SweepSettings(output=output, **values)  # type: ignore[arg-type]


def words(path: Path, *further: str) -> list[str]:
    where = ["--output", str(path.parent / "sweep"), "--dry-run"]
    return [str(path), "--scratch", "--tokens", "320Ki", "--domain", "korean", "--general", "english", *where, *further]


class Runner:
    """Writes what a run of the config would have measured, and counts."""

    def __init__(self, codes: dict[str, int] | None = None) -> None:
        self.codes = codes or {}
        self.names: list[str] = []

    def __call__(self, command: Command) -> int:
        self.names.append(command.name)
        config = load_config(command.arguments[1])
        directory = Path(config.run.dir)
        checkpoint = directory / "checkpoints" / "tokens-000000327680"
        checkpoint.mkdir(parents=True, exist_ok=True)
        save_config(config, directory / "config.yaml")
        code = self.codes.get(command.name, 0)
        metrics = MetricsFile(directory / "metrics.jsonl")
        assert config.evaluation.every is not None
        stop = config.train.tokens // 2 if code else config.train.tokens
        for tokens in range(0, stop + 1, config.evaluation.every):
            for name, source in config.data.sources.items():
                metrics.write(ValidationRecord(0, tokens, name, source.language, 3.0 - tokens / 1e6, 100, 400).line())
        metrics.close()
        command.log.parent.mkdir(exist_ok=True)
        command.log.write_text("started\nerror: the data is gone.\nMend it.\n" if code else "done\n")
        return code


def test_the_runs_of_a_sweep_differ_in_mixture_seed_and_place_only(config: Config, tmp_path: Path) -> None:
    runs = plan_sweep(config, settings(tmp_path, seeds=(1, 2)))
    assert [run.name for run in runs] == [f"ratio-{r}-seed-{s}" for s in (1, 2) for r in ("0.2500", "1.0000")]
    assert runs[0].config.data.phases[0].weights == pytest.approx({"korean": 0.25, "english": 0.5625, "wiki": 0.1875})
    assert runs[1].config.data.phases[0].weights == {"korean": 1.0}
    for run in runs:
        run.config.data.phases[0].weights, run.config.run.dir, run.config.run.seed = {}, "", 0
    assert all(run.config == runs[0].config for run in runs)


def test_a_run_is_warmed_up_then_constant_and_measured_on_a_grid(config: Config, tmp_path: Path) -> None:
    planned = plan_sweep(config, settings(tmp_path, evaluations=20))[0].config
    assert (planned.lr.schedule, planned.lr.peak, planned.lr.warmup) == ("constant", 1e-3, 16 * 1024)
    assert (planned.evaluation.every, planned.train.tokens) == (16 * 1024, 320 * 1024)
    assert set(planned.data.sources) == {"korean", "english", "wiki"}
    assert planned.data.sources["korean"].tags == ["web", "domain"]
    assert planned.data.sources["english"].tags == ["general"]
    assert planned.checkpoint.keep == 1


def test_what_a_sweep_measured_is_read_by_a_fit(config: Config, tmp_path: Path) -> None:
    wanted = settings(tmp_path, ratios=(1 / 3, 0.5))
    assert run_sweep(plan_sweep(config, wanted), wanted, Runner()) == 0
    found = read_sweep([tmp_path], Roles((), ()))
    assert [run.ratio for run in found.runs] == pytest.approx([1 / 3, 0.5], abs=1e-9)
    assert found.runs[0].tokens[0] > 16 * 1024 and found.runs[0].tokens[-1] >= 300 * 1024


def test_finished_runs_are_skipped_and_their_checkpoints_dropped(config: Config, tmp_path: Path) -> None:
    wanted, runner = settings(tmp_path, evaluations=20), Runner()
    runs = plan_sweep(config, wanted)
    run_sweep(runs[:1], wanted, runner)
    assert not list((runs[0].directory / "checkpoints").iterdir())
    run_sweep(runs, wanted, runner, keep=True)
    assert runner.names == ["ratio-0.2500-seed-5", "ratio-1.0000-seed-5"]
    run_sweep(runs, wanted, runner)
    assert list((runs[1].directory / "checkpoints").iterdir()), "kept once, kept for good"


def test_a_run_that_fails_is_named_and_the_others_run(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = settings(tmp_path, evaluations=20)
    runs = plan_sweep(config, wanted)
    runner = Runner({"ratio-0.2500-seed-5": 65})
    assert run_sweep(runs, wanted, runner) == 65
    shown = capsys.readouterr().out
    assert "failed with exit code 65" in shown and "error: the data is gone.\n  Mend it." in shown
    assert "1 of 2 runs failed" in shown
    assert list((runs[0].directory / "checkpoints").iterdir()), "it goes on from there"
    runner.codes = {}
    assert run_sweep(runs, wanted, runner) == 0
    assert runner.names == [runs[0].name, runs[1].name, runs[0].name]


def test_other_settings_than_a_run_began_with_are_refused(config: Config, tmp_path: Path) -> None:
    wanted = settings(tmp_path, evaluations=20)
    run_sweep(plan_sweep(config, wanted), wanted, Runner())
    longer = plan_sweep(config, settings(tmp_path, warmup=16 * 1024, tokens=640 * 1024))
    check_unchanged(longer[0])
    config.resilience.grace_seconds, config.resilience.hang.step_seconds = 30.0, 900.0
    check_unchanged(plan_sweep(config, wanted)[0])
    config.resilience.anomalies.loss_spike = "skip_update"  # of other steps other losses
    with pytest.raises(ConfigError, match=r"resilience\.anomalies\.loss_spike"):
        check_unchanged(plan_sweep(config, wanted)[0])
    config.resilience.anomalies.loss_spike = "report"
    config.lr.peak = 2e-3
    with pytest.raises(ConfigError, match=r"lr\.peak: 0\.001 then, 0\.002 now"):
        check_unchanged(plan_sweep(config, wanted)[0])


def test_all_runs_begin_with_one_checkpoint_even_when_the_base_goes_on(config: Config, tmp_path: Path) -> None:
    def save(tokens: int) -> None:
        directory = tmp_path / "base" / "checkpoints" / f"tokens-{tokens:012d}"
        directory.mkdir(parents=True)
        write_manifest(directory, Manifest(1, tokens, True, asdict(config.model), {}, {}, "now", ()))

    save(1000)
    runs: list[PlannedRun] = plan_sweep(config, settings(tmp_path, base=tmp_path / "base"))
    assert {run.config.run.base for run in runs} == {str(tmp_path / "base" / "checkpoints" / "tokens-000000001000")}
    config.model.layers = 3
    with pytest.raises(ConfigError, match="layers: 2 in the checkpoint, 3 in the configuration"):
        plan_sweep(config, settings(tmp_path, base=tmp_path / "base"))


@pytest.mark.parametrize(
    "further, message",
    [
        (["--domain", "japanese"], "--domain japanese: there is no such source"),
        (["--domain", "english"], "english is both"),
        (["--warmup", "320Ki"], "--warmup 327,680: a run has 327,680"),
        (["--evaluations", "0"], "at least 1"),
        (["lr.warmup=0"], "give --warmup"),
        (["data.phases.0.weights={korean: 1}"], "own data.phases"),
        (["model.attention_heads=5"], "model.attention_heads"),
    ],
)
def test_wrong_plans_are_refused_in_words(path: Path, further: list[str], message: str) -> None:
    with pytest.raises(MegakorError, match=message):
        main(words(path, *further))


@pytest.mark.parametrize("ratios", ["0", "1.5", "a", "1/0", "1/4,0.25", ""])
def test_wrong_ratios_are_refused(path: Path, ratios: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words(path, "--ratios", ratios))
    assert "--ratios" in capsys.readouterr().err


def test_keys_that_a_sweep_leaves_alone_may_be_given() -> None:
    check_overrides(["lr.peak=1e-4", "train.micro_batch_size=2", "optimizer.beta2=0.99"])


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(path, "lr.peak=1e-4")) == 0
    shown = capsys.readouterr().out
    assert "6 runs of 327,680 tokens, each from random weights" in shown and "learning rate 0.0001" in shown
    assert "ratio-0.3333-seed-5  korean=0.3333 english=0.6667  to run" in shown
    assert not (path.parent / "sweep").exists()


def test_a_sweep_without_held_out_text_is_refused_before_the_first_run(path: Path) -> None:
    given = [word for word in words(path) if word != "--dry-run"]
    with pytest.raises(DataError, match=r"data\.sources\.english: there is no validation shard"):
        main(given)


def test_a_command_writes_its_log_and_gives_its_exit_code(tmp_path: Path) -> None:
    command = Command("one", ("pretrain", "nowhere.yaml"), tmp_path / "logs" / "one.log")
    assert run_command(command) == 2
    assert "nowhere.yaml" in last_words(command.log)[0]
    assert last_words(tmp_path / "none.log") == []
