"""`megakor cpt-law`: from runs to a law, and what is planned with it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from test_curriculum_cpt_law import world

from megakor.cli import main
from megakor.errors import DataError
from megakor.laws.cpt_runs import DATA_FORMAT, read_law, read_run
from megakor.report.metrics import MetricsFile
from megakor.report.records import ValidationRecord

CONFIG = """\
model: {layers: 2, hidden_size: 64, ffn_hidden_size: 128, attention_heads: 4, vocabulary_size: 1000}
train: {tokens: 80Ki, global_batch_size: 8Ki, sequence_length: 256}
data:
  sources: {korean: {path: nowhere/ko, language: ko}, english: {path: nowhere/en, language: en}}
  phases: [{name: main, weights: {korean: 0.75, english: 0.25}}]
"""


@pytest.fixture
def law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    data = {"format": DATA_FORMAT, "runs": [asdict(run) for run in world()]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    words = ["cpt-law", "fit", str(tmp_path / "data.json"), "--replicates", "3", "--output", str(tmp_path / "law.json")]
    assert main(words) == 0
    assert "alpha" in capsys.readouterr().out
    return tmp_path / "law.json"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["cpt-law", *words]) == 0
    return capsys.readouterr().out


def test_a_fitted_law_is_read_back_and_planned_with(law: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch, continued = read_law(law)
    assert scratch is not None and scratch.beta == pytest.approx(0.30, abs=5e-3)
    assert continued is not None and continued.gamma == pytest.approx(0.05, abs=5e-3)
    text = printed(capsys, "split", "--compute", "1e20", "--replay", "0.25", "--law", str(law))
    assert "25% replay" in text and "loss " in text and "2407.02118" not in text
    text = printed(capsys, "break-even", "--parameters", "1B", "--tokens", "5B", "--law", str(law))
    assert "continued training is better up to" in text and "saves" in text
    assert "saves" in printed(capsys, "break-even", "--compute", "1e20", "--law", str(law))


def test_the_published_constants_come_with_their_limits(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "split", "--compute", "1e20")
    assert "4.7886 C^0.3846" in text and "0.034805 C^0.6154" in text and "belong to that tokenizer" in text
    assert "loss" not in text.split("Constants")[0]
    assert "saves 46.1% of the compute" in printed(capsys, "break-even", "--compute", "1e19")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["break-even", "--parameters", "1B"], "because they are rounded"),
        (["break-even"], "Give --compute, or --parameters"),
        (["break-even", "--compute", "-1"], "give FLOPs above 0"),
        (["split", "--compute", "1e20", "--replay", "1"], "share of replay is 1"),
        (["fit"], "Give runs with --scratch and --continued, or one DATA.json"),
        (["fit", "--scratch", "a"], "--language is needed"),
    ],
)
def test_what_cannot_be_answered_is_explained(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cpt-law", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_law_that_the_runs_do_not_determine_is_not_planned_with(law: Path) -> None:
    content = json.loads(law.read_text()) | {"at_bound": ["alpha"]}
    law.write_text(json.dumps(content))
    with pytest.raises(DataError, match="do not determine alpha"):
        read_law(law)


def write_run(directory: Path, last: int) -> Path:
    directory.mkdir()
    (directory / "config.yaml").write_text(CONFIG)
    metrics = MetricsFile(directory / "metrics.jsonl")
    for tokens, loss in ((0, 7.0), (last, 5.0)):
        metrics.write(ValidationRecord(0, tokens, "korean", "ko", loss, 100, 400).line())
    metrics.close()
    return directory


def test_a_run_counts_tokens_of_the_target_language_and_parameters_without_embeddings(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", 81920), "ko", continued=True)
    assert run.tokens == pytest.approx(0.75 * 81920) and run.loss == 5.0 and run.continued
    assert run.parameters == 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", 40960)
    with pytest.raises(DataError, match="its last evaluation is at 40,960 of 81,920 tokens"):
        read_run(directory, "ko", continued=False)
    with pytest.raises(DataError, match="no validation loss of en"):
        read_run(directory, "en", continued=False)
