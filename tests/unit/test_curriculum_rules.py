"""Weights from the sizes of sources, and from fitted files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.phases import phases_of
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, ReplayConfig, SourceConfig
from megakor.curriculum.resolve import Frozen, Known, fitted_ratios, read_replay_ratio
from megakor.curriculum.rules import temperature_weights, unimax_tokens
from megakor.curriculum.schedule import Schedule
from megakor.errors import ConfigError, DataError

SIZES = {"a": 1_000, "b": 10_000, "c": 100_000}


def config_of(*phases: PhaseConfig, tokens: int = 60_000) -> Config:
    config = Config()
    config.data.sources = {name: SourceConfig(name, "ko") for name in SIZES}
    config.data.sources["c"].tags = ["general"]
    config.data.phases = list(phases)
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = tokens, 640, 64
    return config


def test_unimax_on_the_toy_of_its_card() -> None:
    assert unimax_tokens({"a": 1, "b": 10, "c": 100}, 60, 2) == {"a": 2, "b": 20, "c": 38}
    assert unimax_tokens({"c": 100, "a": 1, "b": 10}, 60, 2) == {"c": 38, "a": 2, "b": 20}


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**12), min_size=1),
    cap=st.floats(0.1, 10),
    part=st.floats(0.01, 1),
)
def test_unimax_spends_the_budget_under_its_cap_as_equally_as_it_can(
    sizes: dict[str, int], cap: float, part: float
) -> None:
    budget = part * cap * sum(sizes.values())
    tokens = unimax_tokens(sizes, budget, cap)
    assert sum(tokens.values()) == pytest.approx(budget)
    most = max(tokens.values())
    for name, count in tokens.items():
        capped = count >= cap * sizes[name] * (1 - 1e-9)
        assert count <= cap * sizes[name] * (1 + 1e-9)
        assert capped or count == pytest.approx(most)


def test_temperature_goes_from_proportions_to_equality() -> None:
    assert temperature_weights(SIZES, 1) == pytest.approx({"a": 0.01, "b": 0.1, "c": 1})
    assert temperature_weights(SIZES, 2) == pytest.approx({"a": 0.1, "b": 0.1**0.5, "c": 1})
    assert min(temperature_weights(SIZES, 1e9).values()) == pytest.approx(1)


def test_a_schedule_gets_the_weights_of_a_rule_from_the_sizes_of_its_sources() -> None:
    config = config_of(PhaseConfig("main", rule="unimax", max_epochs=2))
    assert phases_of(config)[0].unknown == "the sizes of its sources"
    [phase] = Schedule.compile(config, Known(SIZES)).phases
    assert phase.weights == pytest.approx({"a": 2 / 60, "b": 20 / 60, "c": 38 / 60})


def test_a_rule_divides_replay_and_the_rest_apart() -> None:
    replay = ReplayConfig(tag="general", ratio=0.5, ratio_end=0.3)
    config = config_of(PhaseConfig("main", rule="unimax", max_epochs=4, replay=replay))
    [phase] = Schedule.compile(config, Known({**SIZES, "a": 2_000})).phases
    assert phase.weights == pytest.approx({"a": 0.5 * 8 / 36, "b": 0.5 * 28 / 36, "c": 0.5})
    assert phase.replay_ratio(0, 60_000) == pytest.approx(0.4)


def test_unimax_that_cannot_be_met_is_explained() -> None:
    config = config_of(PhaseConfig("main", rule="unimax", max_epochs=2), tokens=300_000)
    with pytest.raises(ConfigError, match=r"300K tokens, and a, b, c give 222K .*max_epochs to at least 2.71"):
        Schedule.compile(config, Known(SIZES))


def test_a_phase_that_has_begun_keeps_its_weights_when_a_source_grows() -> None:
    config = config_of(PhaseConfig("main", rule="temperature"))
    rule = phases_of(config)[0].rule
    assert rule is not None
    frozen = {0: Frozen({"a": 0.5, "b": 0.5}, None, rule)}
    assert Schedule.compile(config, Known(SIZES, frozen=frozen)).phases[0].weights == {"a": 0.5, "b": 0.5}
    other = {0: Frozen({"a": 0.5, "b": 0.5}, None, {**rule, "setting": 3.0})}
    assert Schedule.compile(config, Known(SIZES, frozen=other)).phases[0].weights != {"a": 0.5, "b": 0.5}


def test_replay_takes_the_share_that_the_critical_mixture_ratio_leaves(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_text(json.dumps({"R_star": 0.7}))
    config = config_of(PhaseConfig("main", weights={"a": 1}, replay=ReplayConfig(source="c", cmr=str(path))))
    schedule = Schedule.compile(config, Known(SIZES, fitted_ratios(config)))
    assert schedule.phases[0].weights == pytest.approx({"a": 0.7, "c": 0.3})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "not a fitted critical mixture ratio"),
        ("{", "not a fitted critical mixture ratio"),
        ('{"R_star": null, "reason": "no ratio is feasible"}', "no ratio is feasible"),
        ('{"R_star": 1.5}', "R_star is 1.5"),
        ('{"R_star": true}', "R_star is True"),
    ],
)
def test_a_file_without_a_ratio_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_replay_ratio(path)
