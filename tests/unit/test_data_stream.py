import json
import math
from typing import Any

import pytest
from data_worlds import BLOCK, Witness, schedule_of, virtual_source, world
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.schema_data import PhaseConfig
from megakor.config.schema_training import BatchRampConfig
from megakor.data.editing import resume
from megakor.data.mixture import DataExhaustedError
from megakor.data.rows import rows_of_rank
from megakor.data.sources import Sources
from megakor.data.stream import BatchPlan, TokenStream
from megakor.errors import ConfigError

PHASES = [
    PhaseConfig("short", 1000, {"ko": 0.7, "en": 0.3}, sequence_length=4),
    PhaseConfig("long", 700, {"ko": 0.2, "en": 0.5, "web": 0.3}, sequence_length=16),
    PhaseConfig("rest", None, {"ko": 1.0, "web": 1.0}, sequence_length=8),
]


def three_sources(seed: int = 7) -> Sources:
    return world(
        virtual_source("ko", [200, 90, 333], seed=seed),
        virtual_source("en", [500], seed=seed),
        virtual_source("web", [64, 64, 64], seed=seed),
    )


def stream_of(total: int = 10_000, batch: int = 64, window: int = 3, seed: int = 7) -> TokenStream:
    sources = three_sources(seed)
    return TokenStream(sources, schedule_of(sources, PHASES, total, batch), window)


def killed(stream: TokenStream, total: int = 10_000, batch: int = 64) -> TokenStream:
    """A new process: everything is built again, the state comes from JSON."""
    state = json.loads(json.dumps(stream.state_dict()))
    sources = three_sources()
    table = json.loads(json.dumps(sources.to_table()))
    fresh, _ = resume(state, Sources.from_table(table), schedule_of(sources, PHASES, total, batch), 3)
    return fresh


def rows_and_clock(plan: BatchPlan) -> Any:
    return plan.rows, plan.start, plan.tokens, plan.phase.name


@settings(max_examples=20, deadline=None)
@given(kills=st.lists(st.integers(0, 60), max_size=6))
def test_a_killed_run_reads_the_same_batches(kills: list[int]) -> None:
    whole, stream = stream_of(), stream_of()
    for number in range(60):
        for _ in range(kills.count(number)):
            stream = killed(stream)
        assert rows_and_clock(stream.next_batch()) == rows_and_clock(whole.next_batch())
    assert stream.state_dict() == whole.state_dict()


def test_a_longer_budget_leaves_the_order_unchanged() -> None:
    short, long = stream_of(total=3000), stream_of(total=10**12)
    for _ in range(45):
        assert short.next_batch().rows == long.next_batch().rows


def test_two_seeds_give_two_orders() -> None:
    assert stream_of().next_batch().rows != stream_of(seed=8).next_batch().rows


def test_the_rows_of_a_batch_are_shuffled_and_every_batch_otherwise() -> None:
    sources = world(virtual_source("ko", [BLOCK * 500 + 1]), virtual_source("en", [BLOCK * 500 + 1]))
    stream = TokenStream(sources, schedule_of(sources, [PhaseConfig(weights={"ko": 1, "en": 1})], batch=BLOCK * 32), 1)
    patterns = set()
    for _ in range(10):
        patterns.add("".join(sources.by_id[row.source].name[0] for row in stream.next_batch().rows))
    assert len(patterns) == 10
    assert all("e" in pattern[:16] and "k" in pattern[:16] for pattern in patterns)


def test_a_phase_ends_at_the_first_batch_at_or_after_its_end() -> None:
    stream = stream_of()
    starts: dict[str, int] = {}
    while stream.tokens_consumed < 2500:
        plan = stream.next_batch()
        starts.setdefault(plan.phase.name, plan.start)
        assert plan.start in range(plan.phase.start, plan.phase.stop)
    assert starts["long"] in range(1000, 1064)
    assert starts["rest"] in range(1700, 1764)


@given(data_size=st.integers(1, 5), micro_batch_size=st.integers(1, 3))
def test_the_ranks_of_any_world_read_the_batch_once_and_in_order(data_size: int, micro_batch_size: int) -> None:
    rows = stream_of().next_batch().rows
    slices = [rows_of_rank(rows, rank, data_size, micro_batch_size) for rank in range(data_size)]
    assert len({len(micro_batches) for micro_batches in slices}) == 1
    flat = [row for micro_batches in slices for micro_batch in micro_batches for row in micro_batch]
    assert [row for row in flat if row is not None] == list(rows)
    assert len(flat) - len(rows) < data_size * micro_batch_size


def test_a_ramp_grows_in_multiples_of_its_first_batch() -> None:
    sources = three_sources()
    stream = TokenStream(
        sources, schedule_of(sources, PHASES, batch=160, ramp=BatchRampConfig(start=32, over=1500)), window_blocks=2
    )
    sizes = [stream.next_batch().tokens for _ in range(40)]
    assert sizes[0] == 32
    assert max(sizes) == 160
    assert all(size % 32 == 0 for size in sizes[:10])
    assert sizes[:10] == sorted(sizes[:10])


def test_exhausted_data_stop_before_the_batch_and_change_nothing() -> None:
    sources = world(virtual_source("ko", [BLOCK * 10 + 1], epochs=1.5), virtual_source("en", [BLOCK * 3 + 1], epochs=1))
    stream = TokenStream(sources, schedule_of(sources, [PhaseConfig(weights={"ko": 1, "en": 1})]), 1)
    witness = Witness()
    for _ in range(4):
        witness.see(sources, stream.next_batch())
    before = stream.state_dict()
    with pytest.raises(DataExhaustedError, match=r"4 rows, and 2 are left"):
        stream.next_batch()
    assert stream.state_dict() == before
    witness.check_complete(stream)


def test_skipped_batches_are_consumed_and_counted_apart() -> None:
    stream, other = stream_of(), stream_of()
    assert stream.next_batch(skip=True).rows == other.next_batch().rows
    assert stream.next_batch().rows == other.next_batch().rows
    assert sum(counters.skipped for counters in stream.counters.values()) == 64
    assert sum(counters.read for counters in stream.counters.values()) == 64


def test_realised_and_intended_tokens_are_reported_by_name() -> None:
    plan = stream_of().next_batch()
    assert sum(plan.realised.values()) == 64
    assert plan.intended == pytest.approx({"ko": 0.7 * 64, "en": 0.3 * 64})


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.sampled_from([4, 8, 16]), min_size=1, max_size=8),
    rows=st.integers(1, 5),
    window=st.integers(1, 4),
    sizes=st.lists(st.lists(st.integers(17, 120), min_size=1, max_size=3), min_size=1, max_size=3),
    weights=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=8, max_size=8),
)
def test_realised_tokens_stay_near_the_integral_through_changes_of_length(
    lengths: list[int], rows: int, window: int, sizes: list[list[int]], weights: list[list[float]]
) -> None:
    """The bound of the mixture, in rows of the longest length, and one row for padding at a change of length."""
    names = ["ko", "en", "web"][: len(sizes)]
    sources = world(*(virtual_source(name, shards) for name, shards in zip(names, sizes, strict=True)))
    phases = [
        PhaseConfig(f"p{number}", 300, dict(zip(names, weights[number], strict=False)), length)
        for number, length in enumerate(lengths)
    ]
    stream = TokenStream(sources, schedule_of(sources, phases, total=300 * len(lengths), batch=rows * 16), window)
    witness, realised, intended = Witness(), dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    while stream.tokens_consumed < 300 * len(lengths):
        plan = stream.next_batch()
        witness.see(sources, plan)
        for name in names:
            realised[name] += plan.realised[name]
            intended[name] += plan.intended[name]
            assert abs(realised[name] - intended[name]) <= (2 + math.log(len(names))) * 16
    witness.check_complete(stream)


def test_a_length_that_does_not_divide_the_block_is_refused() -> None:
    sources = world(virtual_source("ko", [500]))
    for length in (5, 32):
        with pytest.raises(ConfigError, match="not a multiple"):
            TokenStream(sources, schedule_of(sources, [PhaseConfig(weights={"ko": 1})], batch=160, length=length), 1)
