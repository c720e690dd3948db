"""Runs over phases that differ in all that a row is: where it comes from, its length, mask, unlearnt tokens, RoPE base.

Whole runs of the loop with checkpoints, in forks.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ranks import run_ranks

from megakor.checkpoint.listing import checkpoint_directories, open_checkpoint
from megakor.config.load import load_config
from megakor.corpus.operations.regroup import regroup
from megakor.corpus.operations.regroup_options import RegroupOptions
from megakor.corpus.operations.workplace import Output
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.data.audit import audit
from megakor.report.metrics import read_metrics, surviving
from megakor.resilience.listener import StopListener
from megakor.train.pretrain import pretrain
from megakor.train.start import with_vocabulary

TOLERANCE = 1e-5
ROW = 128
CONFIG = """\
run: {{dir: {here}/whole, seed: 7}}
device: cpu
model: {{layers: 2, hidden_size: 32, ffn_hidden_size: 64, attention_heads: 4, key_value_heads: 2,
  vocabulary_multiple: 64}}
train: {{tokens: 10Ki, global_batch_size: 1Ki, sequence_length: 64}}
lr: {{schedule: constant, peak: 3e-3}}
data:
  tokenizer: {here}/tokenizer
  sources:
    korean: {{path: {here}/ko, language: ko}}
    english: {{path: {here}/en, language: en}}
    rows: {{path: {here}/rows, language: ko}}
  phases:
    - {{name: short, tokens: 4Ki, weights: {{korean: 1, english: 1}}, loss_mask_tokens: [e]}}
    - {{name: long, tokens: 4Ki, weights: {{korean: 1, rows: 2}}, sequence_length: 128, rope_base: 5e5}}
    - {{name: alone, weights: {{rows: 1}}, sequence_length: 128, mask: isolated}}
evaluation: {{every: 5Ki, tokens: 512, sources: {{both: {{path: {here}/rows.validation, language: ko}}}}}}
checkpoint: {{every: 1Ki, keep: 0}}
report: {{tensorboard: false}}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text, shards, rows of both languages, `run.yaml`, and in `whole` a run that nothing interrupted."""
    directory = tmp_path_factory.mktemp("phases")
    texts = write_sample_corpus(directory, megabytes=0.03, seed=7)
    inputs = {path.stem: [str(path)] for path in texts}
    tokenizer = train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 600), print)
    for language, paths in inputs.items():
        prefix = directory / language
        options = PreprocessOptions(
            tuple(paths), prefix, tokenizer, append_eod=True, language=language, holdout_share=0.3
        )
        preprocess(options, print)
    for suffix in ("", ".validation"):
        prefixes = [directory / f"{language}{suffix}" for language in inputs]
        rows = RegroupOptions(row_tokens=ROW, mode="cross-lingual")
        regroup(prefixes, Output(directory / f"rows{suffix}"), rows, print)
    (directory / "run.yaml").write_text(CONFIG.format(here=directory), encoding="utf-8")
    train(directory, "whole")
    return directory


def train(here: Path, name: str, *words: str, ranks: int = 1) -> None:
    run_ranks(_pretrain, ranks, here / "run.yaml", [f"run.dir={here}/{name}", *words])


def _pretrain(path: Path, words: list[str]) -> None:
    with StopListener() as listener:
        pretrain(with_vocabulary(load_config(path, words)), listener)


def lines(here: Path, name: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in surviving(read_metrics(here / name / "metrics.jsonl")) if line["kind"] == kind]


def losses(here: Path, name: str) -> list[float]:
    return [line["loss"] for line in lines(here, name, "train")]


def last_state(here: Path, name: str) -> dict[str, Any]:
    return open_checkpoint(checkpoint_directories(here / name / "checkpoints")[-1]).json_state()


def cut(here: Path, name: str, checkpoint: int) -> None:
    """A copy of the whole run as it was when this checkpoint, by its number, was the newest."""
    shutil.copytree(here / "whole", here / name)
    for path in checkpoint_directories(here / name / "checkpoints")[checkpoint + 1 :]:
        shutil.rmtree(path)


def test_the_clock_counts_no_padding_and_the_ledger_adds_up(here: Path) -> None:
    steps = lines(here, "whole", "train")
    assert [step["batch_tokens"] for step in steps[:4]] == [1024] * 4
    assert all(step["batch_tokens"] <= 1024 for step in steps[4:])
    assert any(step["batch_tokens"] < 1024 for step in steps[4:]), "some rows have padding"
    tokens = sum(step["batch_tokens"] for step in steps)
    assert 10 * 1024 <= tokens == steps[-1]["tokens"] < 11 * 1024
    assert audit(here / "whole" / "ledger.jsonl", tokens) == []
    assert {line["source"] for line in lines(here, "whole", "validation")} == {"korean", "english", "both", "rows"}


@pytest.mark.parametrize(("checkpoint", "phase"), [(2, "short"), (3, "between short and long"), (5, "long")])
def test_a_resume_across_phases_computes_what_an_uninterrupted_run_does(
    here: Path, checkpoint: int, phase: str, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"resumed-{checkpoint}"
    cut(here, name, checkpoint)
    train(here, name)
    assert losses(here, name) == losses(here, "whole")
    assert lines(here, name, "validation")[-1]["loss"] == lines(here, "whole", "validation")[-1]["loss"]
    assert last_state(here, name) == last_state(here, "whole")
    changed = "model.rope_base" in capfd.readouterr().out
    assert changed == (phase == "between short and long"), "another base is said where it begins"


@pytest.mark.parametrize("layout", ["parallel.tensor=2 parallel.sequence=true", "parallel.context=2"])
def test_phases_are_the_same_on_every_layout(here: Path, layout: str) -> None:
    name = layout.split("=")[0]
    train(here, name, *layout.split(), ranks=2)
    assert losses(here, name) == pytest.approx(losses(here, "whole"), abs=TOLERANCE)
    validation = [[line["loss"] for line in lines(here, run, "validation")] for run in (name, "whole")]
    assert validation[0] == pytest.approx(validation[1], abs=TOLERANCE)


def test_another_rope_base_of_the_model_is_a_setting_like_any_other(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cut(here, "other", 2)
    train(here, "other", "model.rope_base=20000")
    assert "model.rope_base" in (printed := capfd.readouterr().out)
    assert "10000.0 -> 20000.0" in printed
    assert losses(here, "other")[:3] == losses(here, "whole")[:3]
    assert losses(here, "other")[3] != losses(here, "whole")[3]
