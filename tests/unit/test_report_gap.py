"""`megakor gap`: a table, JSON and a picture of several runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from megakor.cli import main
from megakor.errors import ExitCode
from megakor.report.gap import read_gaps
from megakor.report.measures import ProbeRecord, WeightsRecord
from megakor.report.metrics import MetricsFile
from megakor.report.records import ValidationRecord

CONFIG = """\
train: {tokens: 4000}
data:
  tokenizer: t
  sources:
    law: {path: a, language: ko, tags: [domain]}
    wiki: {path: b, language: en, tags: [general]}
  phases:
    - {name: base, tokens: 1000, weights: {wiki: 1}}
    - {name: law, weights: {law: 1}, evaluation: {every: 1K}}
"""
LOSSES = {0: (9.0, 9.0), 1_000: (3.0, 2.0), 2_000: (2.5, 2.5), 3_000: (2.0, 2.25), 4_000: (1.5, 2.0)}
"""Tokens -> domain and general loss."""


def write_run(directory: Path, general: float = 0.0) -> Path:
    directory.mkdir()
    (directory / "config.yaml").write_text(CONFIG)
    metrics = MetricsFile(directory / "metrics.jsonl")
    for tokens, (domain, other) in LOSSES.items():
        metrics.write(ValidationRecord(0, tokens, "law", "ko", domain, 10, 40).line())
        metrics.write(ValidationRecord(0, tokens, "wiki", "en", other + general * (tokens > 1_000), 10, 40).line())
        metrics.write(ProbeRecord(0, tokens, "exam", "ko", "domain", 8, {"accuracy": 0.5 + tokens / 8_000}).line())
        metrics.write(WeightsRecord(0, tokens, [tokens / 1e4, tokens / 2e4], 1, 1.0).line())
    metrics.close()
    return directory


def test_runs_stand_side_by_side_measured_from_the_start_of_the_phase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(write_run(tmp_path / "plain")), str(write_run(tmp_path / "worse", general=0.5))]
    assert main(["gap", *runs]) == ExitCode.DONE
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "series run first worst at depth length last final gain",
        "domain/loss plain 3.0000 - - 0.0000 no dip 1.5000 +1.5000",
        "domain/loss worse 3.0000 - - 0.0000 no dip 1.5000 +1.5000",
        "general/loss plain 2.0000 2.5000 2.00K 0.5000 3.00K 2.0000 +0.0000",
        "general/loss worse 2.0000 3.0000 2.00K 1.0000 not recovered 2.5000 -0.5000",
        "domain/exam/accuracy plain 0.6250 - - 0.0000 no dip 1.0000 +0.3750",
        "domain/exam/accuracy worse 0.6250 - - 0.0000 no dip 1.0000 +0.3750",
    ]


def test_another_start_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "plain")
    assert main(["gap", str(run), "--from", "2K", "--json"]) == ExitCode.DONE
    general = json.loads(capsys.readouterr().out)["plain"]["general/loss"]
    assert (general["first_tokens"], general["first"], general["depth"], general["length"]) == (2000, 2.5, 0, 0)
    assert general["final_gain"] == 0.5


def test_weights_count_from_behind_the_start_of_the_period(tmp_path: Path) -> None:
    moved = read_gaps(write_run(tmp_path / "plain")).bottom_over_top
    assert moved == [(tokens, pytest.approx(2.0)) for tokens in (2_000, 3_000, 4_000)]


def test_several_runs_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [str(write_run(tmp_path / "plain")), str(write_run(tmp_path / "worse", general=0.5))]
    assert main(["gap", *runs, "--plot", str(tmp_path / "gap.png")]) == ExitCode.DONE
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("start", "words"), [("4K", "less than two evaluations from 4K tokens on"), (None, "config")])
def test_what_cannot_be_measured_is_said(
    tmp_path: Path, start: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "plain") if start else tmp_path / "nowhere"
    assert main(["gap", str(run), *(["--from", start] if start else [])]) == ExitCode.DATA
    assert words in capsys.readouterr().err
