"""`megakor cmr fit` and `megakor cmr plan`: from run directories to a config."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cmr_worlds import sweep

from megakor.cli import main
from megakor.config.load import load_config
from megakor.config.phases import phases_of
from megakor.curriculum.cmr.analysis import analyse
from megakor.curriculum.cmr.fitted_file import write_fitted
from megakor.curriculum.cmr.measurements import SweepRun, measurements_of
from megakor.curriculum.cmr.settings import Settings
from megakor.errors import DataError
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.report.metrics import MetricsFile
from megakor.report.records import ValidationRecord

BASE = 8192
CONFIG = """\
model: {{layers: 2, hidden_size: 64, ffn_hidden_size: 128, attention_heads: 4, vocabulary_size: 1000}}
train: {{tokens: {total}, global_batch_size: 8Ki, sequence_length: 256}}
lr: {{peak: 1e-3, schedule: {schedule}, warmup: {warmup}}}
data:
  sources:
    korean: {{path: nowhere/ko, language: ko, tags: [domain]}}
    english: {{path: nowhere/en, language: en, tags: [general]}}
    wiki: {{path: nowhere/wiki, language: en, tags: [general]}}
  phases:
    - {{name: main, {mixture}}}
"""
NO_ROLES = Roles((), ())


def write_run(directory: Path, run: SweepRun, schedule: str = "constant", warmup: int = 0, mixture: str = "") -> Path:
    """A run directory with the measurements of `run`: its general loss is the mean of two sets of unequal size."""
    general = (1 - run.ratio) / 2
    mixture = mixture or f"weights: {{korean: {run.ratio}, english: {general}, wiki: {general}}}"
    directory.mkdir(parents=True)
    text = CONFIG.format(total=run.tokens[-1], schedule=schedule, warmup=warmup, mixture=mixture)
    (directory / "config.yaml").write_text(text)
    metrics = MetricsFile(directory / "metrics.jsonl")
    points = zip((0, *run.tokens), (run.base_general, *run.general), (run.base_domain, *run.domain), strict=True)
    for tokens, general_loss, domain_loss in points:
        for source, language, loss, count in (
            ("korean", "ko", domain_loss, 100),
            ("english", "en", general_loss - 0.3, 100),
            ("wiki", "en", general_loss + 0.1, 300),
        ):
            metrics.write(ValidationRecord(0, tokens, source, language, loss, count, 4 * count).line())
    metrics.close()
    return directory


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for run in sweep(noise=2e-4, points=12).runs:
        write_run(tmp_path / "sweep" / run.name, run)
    return tmp_path / "sweep"


def test_the_directory_of_a_sweep_is_read_as_it_was_measured(runs: Path) -> None:
    measured, expected = read_sweep([runs], NO_ROLES), sweep(noise=2e-4, points=12)
    assert measured.domain_sources == ("korean",) and measured.general_sources == ("english", "wiki")
    for found, run in zip(measured.runs, expected.runs, strict=True):
        assert found.name == run.name and found.ratio == pytest.approx(run.ratio) and found.tokens == run.tokens
        assert found.general == pytest.approx(run.general) and found.domain == pytest.approx(run.domain)
        assert found.base_general == pytest.approx(run.base_general)


def test_the_ratio_is_read_from_replay_too(tmp_path: Path) -> None:
    run = sweep(points=12).runs[1]
    mixture = "weights: {korean: 1}, replay: {tag: general, ratio: 0.75}"
    assert read_sweep([write_run(tmp_path / "run", run, mixture=mixture)], NO_ROLES).ratios == (0.25,)


def test_points_of_the_warm_up_and_of_the_decay_are_left_out(tmp_path: Path) -> None:
    run = sweep(points=10).runs[0]
    directory = write_run(tmp_path / "run", run, schedule="wsd", warmup=run.tokens[1])
    assert read_sweep([directory], NO_ROLES).runs[0].tokens == run.tokens[2:9]


def test_tokens_are_counted_from_the_phase_of_the_continued_training(tmp_path: Path) -> None:
    run = sweep(points=10).runs[0]
    directory = write_run(tmp_path / "run", replace(run, tokens=tuple(tokens + BASE for tokens in run.tokens)))
    config = (directory / "config.yaml").read_text()
    first = f"    - {{name: base, tokens: {BASE - 100}, weights: {{english: 1}}}}\n"
    (directory / "config.yaml").write_text(config.replace("    - {name: main", f"{first}    - {{name: main"))
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    lines = [line | {"tokens": line["tokens"] or BASE} for line in lines]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_sweep([directory], NO_ROLES).runs[0]
    assert found.tokens == run.tokens and found.base_general == pytest.approx(run.base_general)


def test_validation_sets_can_be_named(runs: Path) -> None:
    measured = read_sweep([runs], Roles(("wiki",), ("korean",)))
    assert measured.base_general == pytest.approx(2.4 + 0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "cosine"}, "the learning rate is cosine"),
        ({"mixture": "weights: {korean: 1}, weights_end: {english: 1}"}, "one constant mixture"),
        ({"mixture": "weights: {english: 1}"}, "no source with the tag domain is read"),
    ],
)
def test_a_run_that_is_not_on_the_laws_is_refused(tmp_path: Path, change: dict[str, str], words: str) -> None:
    directory = write_run(tmp_path / "run", sweep(points=10).runs[0], **change)
    with pytest.raises(DataError, match=words):
        read_sweep([directory], NO_ROLES)


def test_what_is_missing_is_named(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a run directory nor a directory of them"):
        read_sweep([tmp_path / "nowhere"], NO_ROLES)
    with pytest.raises(DataError, match="no loss on books"):
        read_sweep([runs], Roles(("books",), ()))
    first = next(runs.iterdir())
    lines = (first / "metrics.jsonl").read_text().splitlines(keepends=True)
    (first / "metrics.jsonl").write_text("".join(lines[3:]))
    with pytest.raises(DataError, match="no evaluation before the first step"):
        read_sweep([first], NO_ROLES)
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(text.replace("tags: [domain]", "tags: [web]"))
    with pytest.raises(DataError, match="no source has the tag domain"):
        read_sweep([first], NO_ROLES)


def test_the_data_file_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plan-a-mixture.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    assert measurements_of(json.loads(example), "example").ratios == (0.25,)


def fit(runs: Path, *more: str) -> int:
    words = ["cmr", "fit", str(runs), "--replicates", "10", "--output", str(runs / "fitted.json")]
    return main([*words, *more])


def test_fit_prints_the_answer_with_its_uncertainty_and_writes_the_file(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(runs, "--data", str(runs / "data.json")) == 0
    text = capsys.readouterr().out
    assert "R* = 0.3" in text and "95% interval: 0.3" in text and "each ratio predicted from the others" in text
    content = json.loads((runs / "fitted.json").read_text())
    assert content["R_star"] == pytest.approx(0.356, abs=0.03)
    capsys.readouterr()
    assert main(["cmr", "fit", str(runs / "data.json"), "--replicates", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[:6] == text.splitlines()[:6]


def test_few_runs_are_explained_and_are_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "only", sweep(points=4).runs[-1])
    assert main(["cmr", "fit", str(tmp_path / "only")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "No ratio can be recommended: no measured ratio is feasible" in text
    assert "at least 4 different ones" in text and "at least 5 evaluations" in text


def test_the_fit_is_drawn_and_shown_in_tensorboard(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "fit.png"
    assert fit(runs, "--plot", str(picture), "--tensorboard", str(tmp_path / "events")) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert events.Images("cmr/fit")[0].encoded_image_string.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words", [["--epsilon", "0"], ["--lambda", "-1"], ["--level", "1"], ["--replicates", "-1"], ["--reach", "0.5"]]
)
def test_settings_out_of_range_are_refused(runs: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cmr", "fit", str(runs), *words]) == 2
    assert f"{words[0]} {words[1]} is out of range" in capsys.readouterr().err


PLAN = """\
train: {tokens: 20B, global_batch_size: 8Ki, sequence_length: 256}
model: {vocabulary_size: 1000}
data:
  sources:
    korean: {path: nowhere/ko, language: ko, tags: [domain]}
    books: {path: nowhere/books, language: ko, tags: [domain]}
    english: {path: nowhere/en, language: en, tags: [general]}
    code: {path: nowhere/code, language: code}
  phases:
    - PHASE
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fitted") / "fitted.json"
    write_fitted(analyse(sweep(noise=2e-4, points=12), Settings(replicates=10)), path)
    return path


def ratio_of(fitted: Path) -> float:
    return float(json.loads(fitted.read_text())["R_star"])


def plan(directory: Path, fitted: Path, phase: str, *more: str) -> dict[str, float]:
    """Shares of the sources in the config that was written."""
    config = directory / "cpt.yaml"
    config.write_text(PLAN.replace("PHASE", phase))
    assert main(["cmr", "plan", str(fitted), "--config", str(config), *more]) == 0
    return dict(phases_of(load_config(directory / "cpt.cmr.yaml"))[0].weights)


def test_the_plan_keeps_the_proportions_inside_each_kind_and_the_share_of_others(tmp_path: Path, fitted: Path) -> None:
    weights = plan(tmp_path, fitted, "{weights: {korean: 0.6, books: 0.2, english: 0.1, code: 0.1}}")
    ratio = ratio_of(fitted)
    assert math.fsum(weights.values()) == pytest.approx(1)
    assert weights["code"] == pytest.approx(0.1, abs=2e-4)
    assert weights["korean"] / weights["books"] == pytest.approx(3, rel=2e-3)
    assert (weights["korean"] + weights["books"]) / 0.9 == pytest.approx(ratio, abs=2e-4)


def test_the_plan_sets_the_ratio_of_replay(tmp_path: Path, fitted: Path) -> None:
    weights = plan(tmp_path, fitted, "{weights: {korean: 3, books: 1}, replay: {tag: general, cmr: fitted.json}}")
    ratio = ratio_of(fitted)
    assert weights["english"] == pytest.approx(1 - ratio, abs=1e-4)
    written = yaml.safe_load((tmp_path / "cpt.cmr.yaml").read_text())
    assert written["include"] == "cpt.yaml"
    assert written["data"]["phases"][0]["replay"] == {"tag": "general", "ratio": pytest.approx(1 - ratio, abs=1e-4)}


def test_the_lower_end_of_the_interval_can_be_taken(tmp_path: Path, fitted: Path) -> None:
    low = plan(tmp_path, fitted, "{weights: {korean: 1, english: 1}}", "--take", "low")["korean"]
    assert low < plan(tmp_path, fitted, "{weights: {korean: 1, english: 1}}")["korean"]


def planned_wrongly(directory: Path, fitted: Path, phase: str, *more: str) -> int:
    config = directory / "cpt.yaml"
    config.write_text(PLAN.replace("PHASE", phase))
    code = main(["cmr", "plan", str(fitted), "--config", str(config), *more])
    assert not (directory / "cpt.cmr.yaml").exists()
    return code


@pytest.mark.parametrize(
    ("phase", "more", "code", "words"),
    [
        ("{weights: {korean: 1}, weights_end: {english: 1}}", [], 2, "come from a rule or a ramp"),
        ("{weights: {korean: 1, code: 1}, replay: {tag: general, ratio: 0.3}}", [], 2, "code would be counted wrongly"),
        ("{weights: {korean: 1}, tokens: 900B}", [], 65, "out of reach"),
        ("{weights: {korean: 1}, name: one}", ["--phase", "two"], 2, "no such phase"),
        ("{tokens: 1B, weights: {korean: 1}}\n    - {name: two, weights: {korean: 1}}", [], 2, "has 2 phases"),
    ],
)
def test_a_plan_that_cannot_be_made_is_explained(
    tmp_path: Path, fitted: Path, phase: str, more: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert planned_wrongly(tmp_path, fitted, phase, *more) == code
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_config_itself_is_not_overwritten(tmp_path: Path, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phase = "{weights: {korean: 1}}"
    assert planned_wrongly(tmp_path, fitted, phase, "--output", str(tmp_path / "cpt.yaml")) == 2
    assert "cannot take its place" in capsys.readouterr().err
