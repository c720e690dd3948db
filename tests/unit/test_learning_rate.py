"""The learning rate is a pure function of tokens: bounds, joins, end points, and figures worked out by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.phases import phases_of
from megakor.config.schema import Config
from megakor.config.schema_data import DataConfig, PhaseConfig, SourceConfig
from megakor.config.schema_training import LrConfig, TrainConfig
from megakor.errors import ConfigError
from megakor.train.learning_rate import DECAY_SHAPES, SCHEDULES, LearningRate, learning_rate_at

WSD = LrConfig(schedule="wsd", peak=1.0, minimum=0.2, start=0.1, warmup=100, decay=400)


@st.composite
def segments(draw: st.DrawFn) -> tuple[LrConfig, int]:
    """A schedule that the config check would accept, and the length of its segment."""
    minimum = draw(st.floats(0, 1e-3))
    config = LrConfig(
        schedule=draw(st.sampled_from(SCHEDULES)),
        decay_shape=draw(st.sampled_from(list(DECAY_SHAPES))),
        minimum=minimum,
        peak=minimum + draw(st.floats(1e-6, 1e-2)),
        start=draw(st.floats(0, minimum)),
        warmup=draw(st.integers(0, 10**12)),
        decay=draw(st.none() | st.integers(1, 10**12)),
    )
    stay = draw(st.integers(0, 10**12))
    decay = config.decay if config.decay is not None else config.warmup // 9 + 1
    return config, config.warmup + decay + stay


@given(segments(), st.data())
def test_the_rate_never_leaves_the_range_between_its_ends_and_its_peak(
    segment: tuple[LrConfig, int], data: st.DataObject
) -> None:
    config, length = segment
    tokens = data.draw(st.integers(0, 2 * length))
    rate = learning_rate_at(config, tokens, length)
    lowest = config.start if tokens < config.warmup else config.minimum
    assert lowest <= rate <= config.peak * (1 + 1e-12)


@given(segments(), st.data())
def test_after_the_warm_up_the_rate_never_rises(segment: tuple[LrConfig, int], data: st.DataObject) -> None:
    config, length = segment
    earlier, later = sorted(data.draw(st.tuples(*[st.integers(config.warmup, length + 10)] * 2)))
    slack = config.peak * 1e-12
    assert learning_rate_at(config, later, length) <= learning_rate_at(config, earlier, length) + slack


@given(segments())
def test_the_end_points_are_exact(segment: tuple[LrConfig, int]) -> None:
    config, length = segment
    assert learning_rate_at(config, 0, length) == (config.start if config.warmup else config.peak)
    assert learning_rate_at(config, config.warmup, length) == pytest.approx(config.peak, rel=1e-15)
    last = config.peak if config.schedule == "constant" else config.minimum
    assert learning_rate_at(config, length, length) == last
    assert learning_rate_at(config, length + 12345, length) == last


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("shape", DECAY_SHAPES)
def test_the_rate_does_not_jump_inside_a_segment(schedule: str, shape: str) -> None:
    length = 10**12
    config = LrConfig(schedule=schedule, decay_shape=shape, peak=1.0, minimum=0.1, warmup=10**11, decay=3 * 10**11)
    for join in (config.warmup, length - 3 * 10**11, length):
        before, after = (learning_rate_at(config, join + offset, length) for offset in (-1, 1))
        # 1-sqrt leaves the peak with an infinite slope: one token in 3e11 is sqrt(1/3e11) = 2e-6 of the height.
        assert before == pytest.approx(after, abs=2e-6)


@pytest.mark.parametrize("shape", DECAY_SHAPES)
def test_every_decay_shape_falls_from_exactly_one_to_zero(shape: str) -> None:
    values = [DECAY_SHAPES[shape](i / 64) for i in range(65)]
    assert (values[0], values[-1]) == (1.0, 0.0)
    assert all(after < before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize(
    ("shape", "quarter"),
    [
        ("linear", 0.2 + 0.8 * 0.75),
        ("cosine", 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2),
        ("exponential", 0.2 + 0.8 * (2 * 0.8408964152537145 - 1)),
        ("1-sqrt", 0.2 + 0.8 * 0.5),
    ],
)
def test_wsd_warms_up_stays_and_decays_as_worked_out_by_hand(shape: str, quarter: float) -> None:
    config = replace(WSD, decay_shape=shape)
    by_hand = {0: 0.1, 25: 0.325, 50: 0.55, 99: 0.991, 100: 1.0, 599: 1.0, 600: 1.0, 700: quarter, 1000: 0.2}
    assert {tokens: learning_rate_at(config, tokens, 1000) for tokens in by_hand} == pytest.approx(by_hand, rel=1e-14)


def test_linear_and_cosine_decay_over_everything_after_the_warm_up() -> None:
    config = LrConfig(schedule="linear", peak=1.0, minimum=0.0, warmup=200)
    assert learning_rate_at(config, 600, 1000) == 0.5
    assert learning_rate_at(replace(config, schedule="cosine"), 400, 1000) == pytest.approx(0.8535533905932737)


def test_wsd_decays_over_the_last_tenth_when_nothing_is_said() -> None:
    config = LrConfig(schedule="wsd", decay_shape="linear", peak=1.0)
    assert [learning_rate_at(config, tokens, 1000) for tokens in (900, 950, 1000)] == [1.0, 0.5, 0.0]


def test_yulan_minis_anneal_is_reproduced() -> None:
    """arXiv 2412.17743: 1-sqrt over 19,000 steps from step 243,198 on, from 0.01 to 0."""
    config = LrConfig(schedule="wsd", decay_shape="1-sqrt", peak=0.01, decay=19_000)
    for step in (243_198, 243_199, 250_000, 262_197):
        paper = (1 - math.sqrt((step - 243_198) / 19_000)) * 0.01
        assert learning_rate_at(config, step, 243_198 + 19_000) == pytest.approx(paper, rel=1e-12)


@given(st.integers(0, 10**13), st.integers(1, 10**12))
def test_the_horizon_does_not_matter_before_the_decay(tokens: int, more: int) -> None:
    length = 10**13 + WSD.decay  # type: ignore[operator]
    assert learning_rate_at(WSD, tokens, length) == learning_rate_at(WSD, tokens, length + more)


def run_of(*phases: PhaseConfig, lr: LrConfig) -> Config:
    sources = {"korean": SourceConfig()}
    for phase in phases:
        phase.weights = {"korean": 1.0}
    return Config(lr=lr, train=TrainConfig(tokens=1000), data=DataConfig(sources=sources, phases=list(phases)))


def test_a_phase_with_its_own_schedule_is_warmed_up_again_from_its_start() -> None:
    own = replace(WSD, warmup=100, decay=100)
    phases = PhaseConfig(tokens=600), PhaseConfig(tokens=300, lr=own), PhaseConfig()
    config = run_of(*phases, lr=LrConfig(schedule="linear", peak=2.0))
    rate = LearningRate.from_config(config, phases_of(config))
    assert [rate.at(tokens) for tokens in (0, 500, 600, 650, 700, 799)] == pytest.approx([2.0, 1.0, 0.1, 0.55, 1, 1])
    assert rate.at(899) == pytest.approx(0.2, abs=0.01)
    assert rate.at(900) == pytest.approx(0.2), "the main schedule has gone on counting"
    assert rate.at(1000) == 0.0


@pytest.mark.parametrize("phases", [(), (PhaseConfig(tokens=400), PhaseConfig())])
def test_phases_that_share_the_main_schedule_see_no_join(phases: tuple[PhaseConfig, ...]) -> None:
    main = LrConfig(schedule="cosine", peak=1.0)
    config = run_of(*phases, lr=main)
    in_phases = LearningRate.from_config(config, phases_of(config))
    assert [in_phases.at(t) for t in range(0, 1001, 50)] == [LearningRate(main, 1000).at(t) for t in range(0, 1001, 50)]


@pytest.mark.parametrize("field", ["schedule", "decay_shape"])
def test_an_unknown_name_is_refused_with_the_names_that_exist(field: str) -> None:
    known = "wsd" if field == "schedule" else "1-sqrt"
    with pytest.raises(ConfigError, match=rf"lr\.{field}: 'triangle' is not known; .*{known}"):
        config = LrConfig()
        setattr(config, field, "triangle")
        LearningRate(config, 1000)


@pytest.mark.parametrize("shape", DECAY_SHAPES)
def test_wsd_equals_megatron_cores_scheduler(shape: str) -> None:
    scheduler = pytest.importorskip("megatron.core.optimizer_param_scheduler").OptimizerParamScheduler
    stand_in = type("Optimizer", (), {"param_groups": []})()
    theirs = scheduler(
        stand_in, WSD.start, WSD.peak, WSD.minimum, WSD.warmup, 1000, "WSD", 0.0, 0.0, 0, "constant",
        wsd_decay_steps=WSD.decay, lr_wsd_decay_style="minus_sqrt" if shape == "1-sqrt" else shape,
    )  # fmt: skip
    for tokens in range(0, 1001, 20):
        theirs.num_steps = tokens
        expected = theirs.get_lr({})
        assert learning_rate_at(replace(WSD, decay_shape=shape), tokens, 1000) == pytest.approx(expected, rel=1e-12)
