"""Controllers in a config: the text that they look at, what a dry run says, and what they leave alone."""

import json
from pathlib import Path

import pytest
from config_base import write

from megakor.config.check import check, valid_config
from megakor.config.load import load_config
from megakor.config.phases import phases_of
from megakor.config.problems import Problem, errors_of, warnings_of
from megakor.config.summary import summary_text
from megakor.curriculum.resolve import Known, fitted_ratios
from megakor.curriculum.schedule import Schedule
from megakor.errors import ConfigError

REPLAY = "data.phases.0.replay={source: english, ratio: 0.2, controller: {every: 100K}}"
WEIGHTS = "data.phases.0.weights={korean: 1}"
TOPICS = "data.phases.0.reweighting={every: 100K}"


def errors(tmp_path: Path, *overrides: str) -> list[Problem]:
    return errors_of(check(load_config(write(tmp_path), overrides), 1, cuda_available=False))


def shards(*prefixes: Path) -> None:
    for prefix in prefixes:
        for suffix in (".bin", ".idx"):
            Path(f"{prefix}{suffix}").touch()


def test_general_text_that_holds_nothing_out_is_an_error_where_that_is_known(tmp_path: Path) -> None:
    here = f"data.sources.english={{path: {tmp_path}/en, language: en}}"
    assert not errors(tmp_path, WEIGHTS, REPLAY, here), "the shards are not on this machine"
    shards(tmp_path / "en")
    [error] = errors(tmp_path, WEIGHTS, REPLAY, here)
    assert error.keys == ("data.phases.0.replay.controller", "data.sources.english.validation")
    assert "set data.sources.english.validation" in error.fix
    shards(tmp_path / "en.validation")
    assert not errors(tmp_path, WEIGHTS, REPLAY, here)


def test_text_that_is_only_measured_may_stand_for_general_text(tmp_path: Path) -> None:
    shards(tmp_path / "en")
    here = f"data.sources.english={{path: {tmp_path}/en, language: en, tags: [general]}}"
    tagged = REPLAY.replace("source: english", "tag: general")
    wiki = "evaluation.sources.wiki={path: wiki, language: en, tags: [general]}"
    assert errors(tmp_path, WEIGHTS, tagged, here)
    assert not errors(tmp_path, WEIGHTS, tagged, here, wiki)


def test_every_reweighted_source_needs_validation_text(tmp_path: Path) -> None:
    shards(tmp_path / "en", tmp_path / "ko", tmp_path / "ko.validation")
    sources = [f"data.sources.{name}.path={tmp_path}/{name[:2]}" for name in ("korean", "english")]
    sources[0] = f"data.sources.korean.path={tmp_path}/ko"
    [error] = errors(tmp_path, TOPICS, *sources)
    assert error.keys == ("data.phases.0.reweighting", "data.sources.english.validation")


def test_a_dry_run_says_what_is_steered_and_plans_with_the_start(tmp_path: Path) -> None:
    config, _ = valid_config(write(tmp_path), [WEIGHTS, REPLAY])
    text = summary_text(config)
    words = " ".join(text.split())
    assert "main: replay of english at 0.2 main: replay controller: between its start and 0.5 in steps of 0.05" in words
    assert "up while the general loss is more than 0.05 above that at the start of the phase" in words
    assert "planned here with the shares that it begins with" in words
    assert max(len(line) for line in text.splitlines()) <= 100
    assert any(line.split()[:4] == ["english", "en", "201.5K", "20%"] for line in text.splitlines())
    config, _ = valid_config(write(tmp_path), [TOPICS])
    words = " ".join(summary_text(config).split())
    assert "reweighting: korean, english by changes of perplexity, every 100K, strength 0.1; each between 0.5" in words


def test_unimax_is_warned_of_what_reweighting_does_to_its_cap(tmp_path: Path) -> None:
    overrides = ["data.phases.0={rule: unimax, max_epochs: 4, reweighting: {every: 100K}}"]
    problems = check(load_config(write(tmp_path), overrides), 1, cuda_available=False)
    assert not errors_of(problems)
    assert any("max_epochs" in problem.what for problem in warnings_of(problems))


def test_a_controller_changes_nothing_of_what_a_phase_begins_with(tmp_path: Path) -> None:
    """Hashes and rules of runs that have begun without one stay what they were."""
    phase = "data.phases.0={{rule: temperature, replay: {{source: english, ratio: 0.2{more}}}}}"
    plain, steered = (
        phases_of(load_config(write(tmp_path), [phase.format(more=more)]))[0]
        for more in ("", ", controller: {every: 100K}")
    )
    assert steered.controllers is not None and plain.controllers is None
    assert (plain.rule, plain.describe()) == (steered.rule, steered.describe())


def test_a_fitted_ratio_outside_the_bounds_is_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(json.dumps({"R_star": 0.3}))
    fitted = f"data.phases.0.replay={{source: english, cmr: {tmp_path}/fit.json, controller: {{every: 100K}}}}"
    config = load_config(write(tmp_path), [WEIGHTS, fitted])
    with pytest.raises(ConfigError, match=r"a ratio of 0.7, and its controller keeps it between 0.7 and 0.5"):
        Schedule.compile(config, Known(ratios=fitted_ratios(config)))
