"""Wrong configurations: each one is a sentence with its key, and all of them come at once."""

import importlib.util
import os
from pathlib import Path

import pytest
from config_base import write
from config_wrong import WRONG

from megakor.config.check import check, check_loaded, valid_config, world_size_of
from megakor.config.check_values import LR_CHOICES
from megakor.config.data_paths import check_data_paths
from megakor.config.load import load, load_config
from megakor.config.problems import InvalidConfigError, errors_of, render, warnings_of
from megakor.config.schema import Config
from megakor.errors import ExitCode
from megakor.train.learning_rate import DECAY_SHAPES, SCHEDULES

FIRST = "{tokens: 1M, weights: {korean: 1}}"
RESAMPLED = "data.sources.korean.subset={tokens: 10K, resample: true}"
STEERED = "data.phases.0={weights: {korean: 1}, replay: {source: english, ratio: 0.2, controller: {every: 2M}}}"
TWO_NODES = ["cluster.nodes=2", "cluster.devices_per_node=4"]


@pytest.mark.parametrize(
    ("world_size", "overrides", "key", "words"), [case[1:] for case in WRONG], ids=[c[0] for c in WRONG]
)
def test_a_wrong_config_is_an_error_that_names_the_key_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int, overrides: list[str], key: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(write(tmp_path), overrides)
    assert not loaded.problems
    errors = errors_of(check(loaded.config, world_size, cuda_available=False))
    named = [problem for problem in errors if key in problem.keys]
    assert named, f"{key} is not named in:\n{render(errors)}"
    text = " ".join(render(named).split())
    assert any(word in text for word in words.split("|")), text
    assert all(problem.what.endswith(".") and problem.fix.endswith((".", "?")) for problem in errors)


@pytest.mark.parametrize(
    ("world_size", "overrides", "key", "words"),
    [
        (1, ["parallel.distributed_optimizer=true"], "parallel.distributed_optimizer", "one data-parallel copy"),
        (4, ["parallel.pipeline=4", "train.global_batch_size=1Ki"], "parallel.pipeline", "the stages wait 60 %"),
        (1, ["train.tokens=8000", "lr.warmup=0"], "train.tokens", "a single step"),
        (1, ["lr.decay=10K"], "lr.decay", "no effect with the cosine schedule"),
        (1, ["lr.schedule=constant", "lr.minimum=1e-4"], "lr.minimum", "no effect"),
        (1, ["evaluation.every=2M"], "evaluation.every", "never reached"),
        (1, ["data.sources.korean.epochs=1", RESAMPLED], "data.sources.korean.subset.resample", "no effect"),
        (1, ["evaluation.early=[2M]"], "evaluation.early.0", "never reached"),
        (1, [STEERED], "data.phases.0.replay.controller.every", "never decides"),
        (1, ["data.phases.0.evaluation={early: [1M]}"], "data.phases.0.evaluation.early.0", "never reached"),
        (1, [f"data.phases=[{FIRST}, {{name: b, weights: {{korean: 1}}}}]"], "data.phases.1", "never reached"),
        (8, [*TWO_NODES, "parallel.tensor=8", "model.attention_heads=8"], "parallel.tensor", "slow over the network"),
    ],
)
def test_a_doubtful_config_is_a_warning_and_runs(
    tmp_path: Path, world_size: int, overrides: list[str], key: str, words: str
) -> None:
    problems = check(load_config(write(tmp_path), overrides), world_size, cuda_available=None)
    assert not errors_of(problems), render(problems)
    [warning] = [problem for problem in warnings_of(problems) if key in problem.keys]
    assert words in f"{warning.what} {warning.why}"


@pytest.mark.parametrize(
    ("world_size", "overrides"),
    [
        (1, []),
        (2, ["parallel.tensor=2", "parallel.sequence=true"]),
        (2, ["parallel.pipeline=2", "parallel.virtual_pipeline=2", "model.tied_embeddings=true"]),
        (2, ["parallel.context=2"]),
        (4, ["parallel.distributed_optimizer=true", "train.precision=bf16"]),
        (8, ["parallel.tensor=2", "parallel.pipeline=2", "parallel.context=2", "parallel.sequence=true"]),
        (1, ["data.phases=[]"]),
        (1, ["train.precision=fp8_blockwise", "device=cuda"]),
        (1, ["train.batch_ramp={start: 1Ki, over: 100K}"]),
        (1, ["data.phases.0.sequence_length=1024"]),
        (1, ["checkpoint.every=50K", "checkpoint.keep_every=100K"]),
    ],
)
def test_a_right_config_has_no_problems(tmp_path: Path, world_size: int, overrides: list[str]) -> None:
    assert check(load_config(write(tmp_path), overrides), world_size, cuda_available=None) == []


def test_all_problems_come_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "train:\n  tokns: 5\n  micro_batch_size: 0\nmodel:\n  attention_heads: 3\nlr: {peak: fast}\n"
    )
    with pytest.raises(InvalidConfigError) as caught:
        valid_config(path, ["parallel.tensor=7"], world_size=2)
    where = {problem.keys[0]: problem.where.rpartition(":")[2] for problem in caught.value.problems}
    assert where["train.tokns"] == "2"
    assert where["train.micro_batch_size"] == "3"
    assert where["model.attention_heads"] == "5"
    assert where["lr.peak"] == "6"
    assert where["parallel.tensor"] == "command line"
    assert {"data.tokenizer", "data.sources"} <= set(where)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value).startswith("The configuration has ")


def test_a_misspelt_key_does_not_bring_complaints_about_its_default(tmp_path: Path) -> None:
    problems = check_loaded(load(write(tmp_path), ["train.sequence_lenght=333", "train.global_batch_size=3330"]), 1)
    assert [problem.keys for problem in problems] == [("train.sequence_lenght",)]


def test_a_value_out_of_range_does_not_bring_complaints_that_follow_from_it(tmp_path: Path) -> None:
    problems = check(load_config(write(tmp_path), ["train.micro_batch_size=0"]), 3)
    assert [problem.keys for problem in problems] == [("train.micro_batch_size",)]


def test_names_with_dots_are_problems_and_not_crashes(tmp_path: Path) -> None:
    text = "data: {tokenizer: t, sources: {a.b: {path: x, language: ko, epochs: 0}}, phases: [{weights: {a.b: -1}}]}"
    keys = {key for problem in check(load_config(write(tmp_path, text)), 1) for key in problem.keys}
    assert {"data.sources.a.b", "data.sources.a.b.epochs", "data.phases.0.weights.a.b"} <= keys


def test_errors_are_shown_before_warnings_and_in_a_hundred_columns(tmp_path: Path) -> None:
    problems = check(load_config(write(tmp_path), ["evaluation.every=2M", "train.global_batch_size=10000"]), 3)
    text = render(problems)
    assert text.startswith("The configuration has 1 error and 1 warning.")
    assert text.index("error: ") < text.index("warning: ")
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_run_directory_without_the_right_to_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    [problem] = check(load_config(write(tmp_path), [f"run.dir={tmp_path / 'new' / 'run'}"]), 1)
    assert problem.what == f"{tmp_path} cannot be written to."


def test_a_gpu_without_transformer_engine_is_refused_and_a_cpu_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    [problem] = check(load_config(write(tmp_path), ["train.precision=bf16"]), 1, cuda_available=True)
    assert problem.keys == ("device",)
    assert "Transformer Engine, which is not installed" in problem.why
    assert "device=cpu" in problem.fix
    assert check(load_config(write(tmp_path), ["device=cpu"]), 1, cuda_available=True) == []


def test_the_schedules_that_pass_are_those_that_training_knows() -> None:
    assert LR_CHOICES["schedule"] == SCHEDULES
    assert LR_CHOICES["decay_shape"] == tuple(DECAY_SHAPES)


def test_the_vocabulary_of_a_tokenizer_that_is_here_is_checked(tmp_path: Path) -> None:
    content = '{"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 6, "content": "<|endoftext|>"}]}'
    write(tmp_path, content, "tokenizer/tokenizer.json")
    overrides = ["model.vocabulary_size=", "model.vocabulary_multiple=7", f"data.tokenizer={tmp_path}/tokenizer"]
    config = load_config(write(tmp_path), [*overrides, "parallel.tensor=2"])
    [problem] = check(config, 2)
    assert problem.keys[0] == "model.vocabulary_multiple"
    assert "7 tokens" in problem.what


def test_data_paths_are_listed_and_errors_only_when_asked(tmp_path: Path) -> None:
    for name in ("ko.bin", "ko.idx", "shards/a.bin", "shards/a.idx", "half.bin", "tok/tokenizer.json"):
        write(tmp_path, "x", name)
    overrides = [
        f"data.tokenizer={tmp_path}/tok",
        f"data.sources.korean.path={tmp_path}/ko",
        f"data.sources.english.path={tmp_path}/shards",
        f"evaluation.sources.half={{path: {tmp_path}/half, language: ko}}",
    ]
    path = write(tmp_path)
    config, warnings = valid_config(path, overrides)
    assert warnings == []
    found = {entry.key: entry.found for entry in check_data_paths(config)}
    assert found == {
        "data.tokenizer": True,
        "data.sources.korean.path": True,
        "data.sources.english.path": True,
        "evaluation.sources.half.path": False,
    }
    with pytest.raises(InvalidConfigError, match=r"Not on this machine: .*half\.idx"):
        valid_config(path, overrides, check_data_files=True)


def test_the_world_size_of_a_config_is_its_cluster() -> None:
    config = Config()
    config.cluster.nodes, config.cluster.devices_per_node = 8, 4
    assert world_size_of(config) == 32
