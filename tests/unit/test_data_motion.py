"""Mixtures that move, in the stream: counts follow the integral, a kill changes nothing, edits are told or refused."""

import json
import math
from pathlib import Path
from typing import Any

import data_worlds
import pytest
from data_worlds import BLOCK, schedule_of, virtual_source, world
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, ReplayConfig, SourceConfig
from megakor.data.account import account
from megakor.data.difference import Difference
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter
from megakor.data.sources import Sources
from megakor.data.start import epoch_sizes, start_stream
from megakor.data.statement import ledger_report
from megakor.data.stream import TokenStream
from megakor.errors import ConfigError

NAMES = ("ko", "en", "web", "code")


def sources_of(count: int = 4, **more: Any) -> Sources:
    return world(*(virtual_source(name, [4000 + 500 * index], **more) for index, name in enumerate(NAMES[:count])))


def json_state(stream: TokenStream) -> dict[str, Any]:
    return json.loads(json.dumps(stream.state_dict()))


shares = st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4).map(
    lambda values: dict(zip(NAMES, values, strict=True))
)
moving = st.builds(
    PhaseConfig,
    tokens=st.integers(1, 3000),
    weights=shares,
    sequence_length=st.sampled_from([4, 8, 16]),
    weights_end=st.none() | shares,
    ramp=st.sampled_from(["linear", "cosine", "step"]),
    ramp_steps=st.integers(2, 6),
    ramp_tokens=st.none() | st.integers(1, 5000),
    replay=st.none()
    | st.builds(ReplayConfig, st.just("en"), ratio=st.floats(0.05, 0.9), ratio_end=st.none() | st.floats(0.05, 0.9)),
    global_batch_size=st.sampled_from([None, 64, 256]),
)
plans = st.lists(moving, min_size=1, max_size=4).map(
    lambda phases: [PhaseConfig(**{**vars(phase), "name": f"p{index}"}) for index, phase in enumerate(phases)]
)


@settings(max_examples=60, deadline=None)
@given(phases=plans, kill=st.integers(1, 60))
def test_counts_follow_the_integral_of_any_schedule_and_a_kill_changes_nothing(
    phases: list[PhaseConfig], kill: int
) -> None:
    """Within 1 + ln(sources) rows, at the end of every batch, whatever the lengths, batches, ramps and replay."""
    sources = sources_of()
    schedule = schedule_of(sources, phases, total=sum(phase.tokens or 0 for phase in phases), batch=128)
    stream, other = TokenStream(sources, schedule, 4), TokenStream(sources, schedule, 4)
    intended, given_tokens = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0)
    for number in range(60):
        if stream.tokens_consumed >= schedule.total_tokens:
            break
        if number == kill:
            other, difference = resume(json_state(other), sources, schedule, 4)
            assert not any(key.startswith("budget") for key in difference.changed)
        plan = stream.next_batch()
        assert other.next_batch().rows == plan.rows
        for name in NAMES:
            intended[name] += plan.phase.shares(plan.start, plan.stop).get(name, 0.0) * plan.tokens
            given_tokens[name] += plan.realised.get(name, 0)
            assert abs(given_tokens[name] - intended[name]) <= (1 + math.log(4)) * BLOCK + 1e-3
    assert json_state(stream) == json_state(other)


def test_the_integral_of_a_ramp_is_that_of_its_formula() -> None:
    sources = sources_of(2)
    phases = [PhaseConfig("main", 64_000, {"ko": 1}, weights_end={"en": 1})]
    stream = TokenStream(sources, schedule_of(sources, phases, total=64_000, batch=640), 4)
    read = 0
    for _ in range(100):
        plan = stream.next_batch()
        read += plan.realised.get("en", 0)
        assert abs(read - plan.stop**2 / 128_000) <= (1 + math.log(2)) * BLOCK
    assert plan.scheduled["en"] == pytest.approx(0.995)


def test_replay_is_realised_as_it_is_intended_and_told_with_each_batch() -> None:
    sources = sources_of(2)
    phases = [PhaseConfig("main", None, {"ko": 1}, replay=ReplayConfig("en", ratio=0.3))]
    stream = TokenStream(sources, schedule_of(sources, phases, batch=160), 4)
    for _ in range(50):
        plan = stream.next_batch()
    assert plan.phase.replay_ratio(plan.start, plan.stop) == pytest.approx(0.3)
    assert plan.replayed == pytest.approx(0.3, abs=1e-9)


RAMP = PhaseConfig("main", 6400, {"ko": 1, "en": 1}, weights_end={"ko": 0.1, "en": 0.9})


def edited(*phases: PhaseConfig, batches: int = 10) -> tuple[TokenStream, Difference]:
    """Ten batches of 64 under RAMP, then a resume under `phases`."""
    sources = sources_of(2)
    stream = TokenStream(sources, schedule_of(sources, [RAMP], total=6400), 4)
    for _ in range(batches):
        stream.next_batch()
    return resume(json_state(stream), sources, schedule_of(sources, phases, total=6400), 4)


@pytest.mark.parametrize(
    "change",
    [
        {"weights_end": {"en": 1.0}},
        {"weights": {"ko": 2, "en": 1}},
        {"ramp": "cosine"},
        {"ramp": "step"},
        {"ramp_tokens": 6000},
        {"tokens": 6464},
    ],
)
def test_a_ramp_that_was_begun_cannot_be_another_one(change: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"at token .*begins at token 640.*ramp_tokens: 6400 and the same weights_end"
    ):
        edited(PhaseConfig(**{**vars(RAMP), **change}))


def test_a_ramp_can_be_cut_off_and_the_future_changed() -> None:
    kept = PhaseConfig(**{**vars(RAMP), "tokens": 640, "ramp_tokens": 6400})
    stream, difference = edited(kept, PhaseConfig("next", None, {"ko": 1}, replay=ReplayConfig("en", ratio=0.2)))
    assert difference.changed["weight of en"] == ("0.54", "0.2")
    assert difference.changed["ramp"] == ("linear to en 0.9, ko 0.1 at 6,400 tokens", "none")
    assert difference.changed["replay ratio"] == ("none", "0.2")
    assert "replay ratio" in difference.text() and stream.next_batch().phase.name == "next"


def test_an_unchanged_ramp_is_no_difference() -> None:
    assert not edited(RAMP)[1].changed


def config_with(*phases: PhaseConfig, names: tuple[str, ...] = NAMES[:2]) -> Config:
    config = Config()
    config.data.sources = {name: SourceConfig(name, name[:2]) for name in names}
    config.data.phases = list(phases)
    config.run.seed, config.data.block_length, config.data.window_blocks = 7, BLOCK, 4
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = 6400, 64, BLOCK
    return config


def table_of(*sources: Any) -> dict[str, Any]:
    return {**world(*sources).to_table(), "ratios": {}}


RULE = PhaseConfig("main", 3200, rule="temperature")
LATER = PhaseConfig("later", None, rule="temperature")


def test_a_source_that_grows_moves_the_weights_of_phases_to_come_only() -> None:
    ko, en = virtual_source("ko", [1601]), virtual_source("en", [4801])
    config = config_with(RULE, LATER)
    stream, _ = start_stream(config, table_of(ko, en))
    assert stream.schedule.phases[0].weights == pytest.approx({"ko": 0.25, "en": 0.75})
    for _ in range(10):
        stream.next_batch()
    grown = virtual_source("ko", [1601, 3201])
    again, difference = start_stream(config, table_of(grown, en), json_state(stream))
    assert epoch_sizes(again.sources) == {"ko": 4800, "en": 4800}
    assert again.schedule.phases[0].weights == pytest.approx({"ko": 0.25, "en": 0.75})
    assert again.schedule.phases[1].weights == pytest.approx({"ko": 0.5, "en": 0.5})
    assert difference is not None and not difference.changed


def test_a_rule_that_was_followed_cannot_be_another_one() -> None:
    table = table_of(virtual_source("ko", [1601]), virtual_source("en", [4801]))
    stream, _ = start_stream(config_with(RULE, LATER), table)
    stream.next_batch()
    other = PhaseConfig(**{**vars(RULE), "temperature": 3.0})
    with pytest.raises(ConfigError, match=r"weight of 'ko' changes from 0.25 to 0.4095 in"):
        start_stream(config_with(other, LATER), table, json_state(stream))
    later = PhaseConfig(**{**vars(LATER), "temperature": 3.0})
    again, _ = start_stream(config_with(RULE, later), table, json_state(stream))
    assert again.schedule.phases[1].weights["ko"] > 0.4


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.sampled_from([4, 7, 14, 28]), min_size=1, max_size=6), window=st.integers(1, 6))
def test_a_block_may_be_any_multiple_of_a_sequence_length(lengths: list[int], window: int) -> None:
    """As from 4,096 to 28,672 tokens: nothing is read twice in an epoch and nothing is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_worlds, "BLOCK", 28)
        sources = world(virtual_source("ko", [700, 300]), virtual_source("en", [900]))
        phases = [PhaseConfig(f"p{i}", 560, {"ko": 1, "en": 2}, length) for i, length in enumerate(lengths)]
        total = 560 * len(lengths)
        stream = TokenStream(sources, schedule_of(sources, phases, total=total, batch=140, length=28), window)
        witness = data_worlds.Witness()
        while stream.tokens_consumed < total:
            witness.see(sources, stream.next_batch())
        witness.check_complete(stream)


def test_the_ledger_sets_what_was_read_beside_the_integral_of_the_schedule(tmp_path: Path) -> None:
    sources = sources_of(2)
    replay = ReplayConfig("en", ratio=0.2, ratio_end=0.6)
    phases = [PhaseConfig("main", 6400, {"ko": 1}, replay=replay)]
    stream = TokenStream(sources, schedule_of(sources, phases, total=6400), 4)
    book = LedgerWriter(tmp_path / "ledger.jsonl", stream)
    for _ in range(50):
        book.add(stream.next_batch())
    book.flush()
    [entry] = account(tmp_path / "ledger.jsonl").ranges
    assert entry.intended == pytest.approx({"ko": 0.7, "en": 0.3})
    assert entry.replay == pytest.approx([0.3, 0.3], abs=2 * BLOCK / 3200)
    lines = [line.split() for line in ledger_report(tmp_path).splitlines()]
    assert ["main", "0", "to", "3,200", "0.3000", f"{entry.replay[1]:.4f}"] in lines
