"""Files, includes and arguments become one Config; what cannot is told with file and line."""

import dataclasses
from pathlib import Path

import pytest
from config_base import BASE, write
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.load import load, load_config, save_config
from megakor.config.names import all_keys
from megakor.config.problems import InvalidConfigError
from megakor.config.quantities import LARGEST
from megakor.config.schema import CheckpointConfig, Config, EvaluationConfig, ModelConfig, RopeScalingConfig, RunConfig
from megakor.config.schema_data import DataConfig, PhaseConfig, SourceConfig
from megakor.config.schema_training import BatchRampConfig, LrConfig, TrainConfig
from megakor.errors import ConfigError, StorageError


def test_without_a_file_the_defaults_are_loaded() -> None:
    assert load_config(None) == Config()


def test_amounts_of_tokens_become_integers(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ["evaluation.early=[1K, 2Ki]", "data.phases.0.tokens=1.5M"])
    assert (config.train.tokens, config.train.global_batch_size) == (1_000_000, 8192)
    assert config.evaluation.early == [1000, 2048]
    assert config.data.phases[0].tokens == 1_500_000


def test_async_is_the_key_of_the_field_async_(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "checkpoint: {async: false}")).checkpoint.async_ is False
    with pytest.raises(ConfigError, match=r"did you mean checkpoint\.async\?"):
        load_config(None, ["checkpoint.async_=false"])


def test_texts_that_yaml_1_1_takes_for_something_else_stay_texts(tmp_path: Path) -> None:
    text = "data: {sources: {a: {path: 1:30, language: no, tags: [on, yes, 2020-01-01]}}}\noptimizer: {epsilon: 1e-6}"
    config = load_config(write(tmp_path, text))
    assert config.data.sources["a"] == SourceConfig("1:30", "no", ["on", "yes", "2020-01-01"])
    assert config.optimizer.epsilon == 1e-6


def test_the_including_file_wins_over_fragments_and_later_fragments_over_earlier(tmp_path: Path) -> None:
    write(tmp_path, "train: {tokens: 1M, micro_batch_size: 1, sequence_length: 1}", "parts/first.yaml")
    write(tmp_path, "train: {micro_batch_size: 2, sequence_length: 2}", "parts/second.yaml")
    text = "train: {sequence_length: 3}\ninclude: [parts/first.yaml, parts/second.yaml]"
    train = load_config(write(tmp_path, text)).train
    assert (train.tokens, train.micro_batch_size, train.sequence_length) == (1_000_000, 2, 3)


def test_an_include_is_looked_up_in_configs_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "run: {seed: 7}", "configs/parts/seed.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_config(write(tmp_path, "include: parts/seed.yaml", "mine/run.yaml")).run.seed == 7


def test_a_circle_of_includes_is_reported_with_its_way(tmp_path: Path) -> None:
    write(tmp_path, "include: b.yaml", "a.yaml")
    write(tmp_path, "run: {seed: 1}\ninclude: a.yaml", "b.yaml")
    with pytest.raises(ConfigError, match=r"b\.yaml:2: .*circle \(a\.yaml -> b\.yaml -> a\.yaml\)"):
        load_config(tmp_path / "a.yaml")


def test_a_fragment_may_be_included_twice_without_being_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "run: {seed: 5}", "seed.yaml")
    write(tmp_path, "include: seed.yaml", "a.yaml")
    assert load_config(write(tmp_path, "include: [a.yaml, seed.yaml]")).run.seed == 5


def test_lists_are_replaced_and_blocks_are_merged_and_null_drops_a_source(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")
    text = """\
include: base.yaml
data:
  sources: {english: null, web: {path: nowhere/web, language: en}}
  phases: [{name: only, weights: {web: 1}}]
"""
    data = load_config(write(tmp_path, text)).data
    assert list(data.sources) == ["korean", "web"]
    assert [phase.name for phase in data.phases] == ["only"]


def test_an_argument_replaces_the_value_as_a_whole_and_reaches_into_lists(tmp_path: Path) -> None:
    overrides = ["data.phases[0].weights={korean: 1}", "data.phases.0.name=k=v", "train.batch_ramp.start=4Ki"]
    config = load_config(write(tmp_path), overrides)
    assert config.data.phases == [PhaseConfig(name="k=v", weights={"korean": 1.0})]
    assert config.train.batch_ramp == BatchRampConfig(start=4096)


def test_a_reference_takes_the_value_of_another_key_even_a_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ["data.block_length=${train.sequence_length}", "run.dir=runs/${device}"])
    assert (config.data.block_length, config.run.dir) == (256, "runs/auto")


def test_the_environment_does_not_leak_into_a_run(tmp_path: Path) -> None:
    for text in ("${oc.env:HOME}", "a${ oc.env:HOME}", r"\\${oc.env:HOME}", "${oc.${device}:HOME}", "${${run.seed}}"):
        path = write(tmp_path, f"run: {{dir: '{text}'}}")
        with pytest.raises(ConfigError, match=r"run\.dir \(.*run\.yaml:1\).*resolver"):
            load_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: {tokens: 1\nlr: 2", r"run\.yaml:2: this is not valid YAML"),
        ("train:\n  tokens: 1\n  tokens: 2\n", r"run\.yaml:[23]: the key 'tokens' is given twice"),
        ("- a\n- b\n", "a configuration is a block of keys"),
        ("run: {dir: !!python/object:os.system x}", r"run\.yaml:1: this is not valid YAML"),
        ("run: {dir: !!binary aGk=}", r"run\.yaml:1: .*not a plain value"),
        ("run: &a\n  dir: *a\n", r"run\.yaml:1: an alias contains itself"),
        ("include: [3]", "include takes a file name"),
        ("run: {seed: 1}\ninclude: no/such.yaml", r"run\.yaml:2: the included file no/such\.yaml was not found"),
        ("run: {dir: '${run.nothing}'}", r"run\.dir"),
        ("run: {dir: '${run'}", "run"),
        ("train: 3", r"run\.yaml:1\)\n.*block of keys"),
        ("data: {phases: {a: 1}}", "a list is expected"),
        ("data: {sources: [1]}", "a block of names is expected"),
        ("train: {tokens: null}", "leave the key out"),
        ("parallel: {sequence: 'true'}", "true or false is expected"),
        ("train: {micro_batch_size: 1.0}", "a whole number is expected"),
        ("run: {dir: 2024}", "put it in quotes"),
        ("run: {dir: {name: x}}", "give it a single value"),
        ("train: [1]", "a block of keys is expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, text))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no configuration file .*missing\.yaml"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"run: {dir: \xe9}")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(tmp_path / "latin.yaml")


@pytest.mark.parametrize("argument", ["train.tokens", "=3", "train..tokens=3", "data.phases.7.name=x", "run.dir=[1"])
def test_an_argument_that_cannot_be_set_is_quoted(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ConfigError, match="argument"):
        load_config(write(tmp_path), [argument])


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("train.tokns", "train.tokens"),
        ("tokens", "train.tokens"),
        ("train.warmup", "lr.warmup"),
        ("model.num_layers", "model.layers"),
        ("tensor_model_parallel_size", "parallel.tensor"),
        ("model.rope_theta", "model.rope_base"),
        ("lr.min_lr", "lr.minimum"),
        ("data.sources.korean.langage", "data.sources.korean.language"),
        ("optimiser", "optimizer"),
    ],
)
def test_an_unknown_key_names_the_key_that_was_meant(tmp_path: Path, key: str, meant: str) -> None:
    [problem] = load(write(tmp_path), [f"{key}=1"]).problems
    assert problem.keys == (key,)
    assert problem.fix.startswith(f"did you mean {meant}")
    assert problem.where == "command line"


def test_every_problem_of_a_file_is_found_at_once_with_its_line(tmp_path: Path) -> None:
    text = "train:\n  tokns: 3\n  global_batch_size: 2Q\nlr:\n  peak: high\nzebra: 1\n"
    with pytest.raises(InvalidConfigError) as caught:
        load_config(write(tmp_path, text))
    found = {problem.keys[0]: problem.where.rpartition(":")[2] for problem in caught.value.problems}
    assert found == {"train.tokns": "2", "train.global_batch_size": "3", "lr.peak": "5", "zebra": "6"}
    assert all(key in str(caught.value) for key in found)


def test_the_names_of_the_schema_are_keys_of_yaml() -> None:
    keys = list(all_keys())
    assert {"checkpoint.async", "data.phases.N.lr.peak", "data.sources.NAME.language"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert not any(key.endswith("_") for key in keys)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
_tokens = st.integers(0, LARGEST)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_rates = st.builds(LrConfig, peak=_floats, warmup=_tokens, decay=st.none() | _tokens, decay_shape=_texts)
_sources = st.builds(
    SourceConfig, _texts, _texts, st.lists(_texts, max_size=2), st.none() | _floats, st.none() | _texts
)
_phases = st.builds(
    PhaseConfig, _texts, st.none() | _tokens, st.dictionaries(_names, _floats, max_size=2), lr=st.none() | _rates
)
_configs = st.builds(
    Config,
    run=st.builds(RunConfig, _texts, st.integers(0, 2**40)),
    model=st.builds(ModelConfig, qk_norm=st.booleans(), rope_scaling=st.none() | st.builds(RopeScalingConfig, _texts)),
    train=st.builds(TrainConfig, _tokens, batch_ramp=st.none() | st.builds(BatchRampConfig, _tokens, _tokens)),
    lr=_rates,
    data=st.builds(DataConfig, _texts, st.dictionaries(_names, _sources, max_size=2), st.lists(_phases, max_size=2)),
    evaluation=st.builds(EvaluationConfig, early=st.lists(_tokens, max_size=3)),
    checkpoint=st.builds(CheckpointConfig, st.none() | _tokens, async_=st.booleans()),
)


@settings(max_examples=25, deadline=None)
@given(config=_configs)
def test_a_saved_config_loads_back_equal(config: Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "saved.yaml"
    save_config(config, path)
    assert load_config(path) == config


def test_a_saved_config_keeps_special_texts(tmp_path: Path) -> None:
    for text in (
        "${run.seed}",
        r"\${x}",
        "no",
        "1e5",
        "1:30",
        "~",
        "<<",
        "",
        " a ",
        "\x85\u2028",
        "한국어",
        "\\",
        "a\\${b",
    ):
        config = dataclasses.replace(Config(), run=RunConfig(dir=text))
        save_config(config, tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == config


def test_a_config_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(StorageError, match=r"config\.yaml: cannot be written"):
        save_config(Config(), tmp_path / "config.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
