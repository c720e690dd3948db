"""Caps: a source that has been read as often as it may hands its share on, stops the run, or fails it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from data_worlds import BLOCK, Witness, schedule_of, virtual_source, world, write_shard
from hypothesis import event, given, settings
from hypothesis import strategies as st

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig, SubsetConfig
from megakor.data.exhaustion import check_plan
from megakor.data.mixture import CapPassedError, DataExhaustedError
from megakor.data.reading import Reading
from megakor.data.source import Source
from megakor.data.sources import Sources
from megakor.data.start import compile_table, start_stream
from megakor.data.stream import TokenStream
from megakor.errors import DataError

MAIN = [PhaseConfig("main", None, {"ko": 1, "en": 1})]


def capped(name: str, blocks: int, exhausted: str, epochs: float | None = 1) -> Source:
    return replace(virtual_source(name, [BLOCK * blocks + 1], epochs), exhausted=exhausted)


def two_sources(blocks: int, exhausted: str, epochs: float = 1) -> Sources:
    return world(capped("ko", blocks, exhausted, epochs), capped("en", 5000, "redistribute", None))


def run_out(sources: Sources, phases: Sequence[PhaseConfig] = MAIN, total: int = 10_000) -> tuple[TokenStream, str]:
    """Read to the end of the run, or to the data's; the words of it."""
    stream, witness = TokenStream(sources, schedule_of(sources, phases, total=total), 3), Witness()
    words = ""
    while stream.tokens_consumed < total and not words:
        before = stream.state_dict()
        try:
            witness.see(sources, stream.next_batch())
        except DataExhaustedError as error:
            words = f"{type(error).__name__}: {error}"
            assert stream.state_dict() == before
    witness.check_complete(stream)
    return stream, words


@settings(max_examples=40)
@given(st.integers(1, 20), st.sampled_from([1, 1.5, 2]), st.sampled_from([4, 8, 16]), st.floats(0.05, 0.95))
def test_a_run_stops_before_the_batch_that_would_pass_the_cap(
    blocks: int, epochs: float, length: int, weight: float
) -> None:
    phases = [PhaseConfig("main", None, {"ko": weight, "en": 1 - weight}, sequence_length=length)]
    stream, words = run_out(two_sources(blocks, "stop", epochs), phases, total=30_000)
    read = stream.counters[stream.sources.named("ko").id].read
    allowed = int(blocks * epochs) * BLOCK
    assert words.startswith("DataExhaustedError: the source 'ko' has been read for its")
    assert allowed - 64 <= read <= allowed, "at most a batch is left"
    assert abs(read - weight * stream.tokens_consumed) <= 2 * length, "the mixture is not distorted before it"


def test_a_source_that_fails_says_so_with_the_way_out() -> None:
    _, words = run_out(two_sources(10, "fail", 1.5))
    assert words.startswith("CapPassedError: the source 'ko' has been read for its 1.5 epochs, up to 1 rows")
    assert "raise data.sources.ko.epochs" in words


def test_a_source_that_hands_on_its_share_ends_nothing() -> None:
    stream, words = run_out(two_sources(10, "redistribute"))
    assert words == ""
    assert stream.counters[stream.sources.named("ko").id].read == BLOCK * 10


@pytest.mark.parametrize("exhausted", ["stop", "fail"])
def test_a_phase_without_the_source_goes_on(exhausted: str) -> None:
    phases = [PhaseConfig("both", BLOCK * 20, {"ko": 1, "en": 1}), PhaseConfig("rest", None, {"en": 1})]
    stream, words = run_out(two_sources(10, exhausted), phases)
    assert words == ""
    assert stream.counters[stream.sources.named("ko").id].read == BLOCK * 10


@settings(max_examples=40)
@given(
    caps=st.lists(st.integers(5, 200), min_size=3, max_size=3),
    weights=st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    end=st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    kinds=st.lists(st.sampled_from(["redistribute", "stop", "fail"]), min_size=3, max_size=3),
    batches=st.integers(0, 20),
)
def test_what_is_refused_before_training_would_not_have_come_to_its_end(
    caps: list[int], weights: list[float], end: list[float], kinds: list[str], batches: int
) -> None:
    names = ["ko", "en", "web"]
    sources = world(*(capped(name, cap, kind) for name, cap, kind in zip(names, caps, kinds, strict=True)))
    first, last = dict(zip(names, weights, strict=True)), dict(zip(names, end, strict=True))
    phases = [PhaseConfig("a", 2000, first, weights_end=last), PhaseConfig("b", None, last)]
    schedule = schedule_of(sources, phases, total=5000)
    stream = TokenStream(sources, schedule, 3)
    with suppress(DataExhaustedError):
        for _ in range(batches):
            stream.next_batch()
    refused = None
    try:
        check_plan(schedule, sources, stream.cursors, stream.tokens_consumed)
    except DataError as error:
        refused = str(error)
    _, words = run_out(sources, phases, total=5000)
    if refused is not None:
        assert words, "it fails, or all sources come to their ends in the same batches"
    elif words.startswith("CapPassedError"):
        event(f"shows only when the run gets there: {len({*kinds})} kinds of end")


def start(directory: Path, tokens: int, **korean: object) -> TokenStream:
    for number, name in enumerate(("ko", "en")):
        if not (directory / f"{name}.bin").exists():
            write_shard(directory / name, [[number, 2, 3, 4]] * 401)
    config = Config()
    config.data.sources = {
        "ko": SourceConfig(str(directory / "ko"), "ko", **korean),  # type: ignore[arg-type]
        "en": SourceConfig(str(directory / "en"), "en"),
    }
    config.data.phases = [PhaseConfig("main", None, {"ko": 1, "en": 1})]
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = tokens, BLOCK * 2, BLOCK
    return start_stream(config, compile_table(config))[0]


def test_a_run_that_is_certain_to_fail_does_not_begin(tmp_path: Path) -> None:
    part = SubsetConfig(BLOCK * 10)
    start(tmp_path, BLOCK * 80, epochs=4, exhausted="fail", subset=part)
    start(tmp_path, BLOCK * 120, epochs=4, exhausted="stop", subset=part)
    with pytest.raises(DataError, match=r"data.sources.ko: the schedule reads it past its 4 epochs.*at about 1,28\d"):
        start(tmp_path, BLOCK * 120, epochs=4, exhausted="fail", subset=part)


def test_what_cannot_be_known_before_fails_at_its_point() -> None:
    assert issubclass(CapPassedError, DataError)
    sources = world(capped("ko", 10, "fail"), capped("en", 5000, "redistribute", None))
    sources = world(replace(sources.named("ko"), readings=(Reading(0, BLOCK * 4, resample=True),)), sources.named("en"))
    stream, words = run_out(sources)
    assert words.startswith("CapPassedError")
    assert stream.counters[stream.sources.named("ko").id].read == BLOCK * 4
