import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from data_worlds import BLOCK, Witness, schedule_of, virtual_shard, virtual_source, world
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.schema import Config
from megakor.config.schema_data import DataConfig, PhaseConfig
from megakor.config.schema_training import TrainConfig
from megakor.data.account import account
from megakor.data.audit import audit
from megakor.data.difference import Difference
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter
from megakor.data.mixture import DataExhaustedError
from megakor.data.source import Generation, Source
from megakor.data.sources import Sources
from megakor.data.start import choose_block_length
from megakor.data.stream import TokenStream
from megakor.errors import ConfigError, DataError

SIZES = {"ko": [150, 60, 200], "en": [300], "web": [40, 90], "code": [70, 33]}


def json_state(stream: TokenStream) -> dict[str, Any]:
    return json.loads(json.dumps(stream.state_dict()))


def two_sources(**changes: Any) -> Sources:
    return world(virtual_source("ko", SIZES["ko"], **changes), virtual_source("en", SIZES["en"], **changes))


def run(phases: list[PhaseConfig], batches: int = 12, sources: Sources | None = None) -> TokenStream:
    sources = sources or two_sources()
    stream = TokenStream(sources, schedule_of(sources, phases), 2)
    for _ in range(batches):
        stream.next_batch()
    return stream


def resumed(stream: TokenStream, sources: Sources, phases: list[PhaseConfig]) -> tuple[TokenStream, Difference]:
    return resume(json_state(stream), sources, schedule_of(sources, phases, total=2_000_000), 2)


MAIN = [PhaseConfig("main", None, {"ko": 0.5, "en": 0.5})]


def test_an_edit_of_the_consumed_part_is_refused_with_its_range() -> None:
    stream = run(MAIN)
    with pytest.raises(ConfigError, match=r"weight of 'ko' changes from 0.5 to 0.9.*tokens 0 to 768.*token 768"):
        resumed(stream, two_sources(), [PhaseConfig("main", None, {"ko": 0.9, "en": 0.1})])
    with pytest.raises(ConfigError, match=r"sequence length changes from 16 to 8"):
        resumed(stream, two_sources(), [PhaseConfig("main", None, {"ko": 0.5, "en": 0.5}, sequence_length=8)])


def test_the_future_can_be_edited_from_the_next_batch_on() -> None:
    stream = run(MAIN)
    edited = [PhaseConfig("main", 768, {"ko": 1, "en": 1}), PhaseConfig("next", None, {"ko": 0.9, "en": 0.1}, 8)]
    fresh, difference = resumed(stream, two_sources(), edited)
    assert fresh.next_batch().phase.name == "next"
    text = difference.text(lr_before=3e-4, lr_after=1e-4)
    for words in ("resuming at 768 tokens", "0.5 -> 0.9", "16 -> 8", "0.0003 -> 0.0001", "2,000,000"):
        assert words in text
    assert "epochs read" in text
    assert "global batch" not in difference.changed


@pytest.mark.parametrize(
    ("settings", "edit", "said"),
    [
        ({"mask": "none"}, r"the mask changes from document to none", ("mask", ("document", "none"))),
        (
            {"loss_mask_tokens": ["<think>"]},
            r"loss_mask_tokens change from none to <think>",
            ("tokens without loss", ("none", "<think>")),
        ),
    ],
)
def test_how_rows_are_read_changes_in_a_phase_of_its_own_and_not_in_the_past(
    settings: dict[str, Any], edit: str, said: tuple[str, tuple[str, str]]
) -> None:
    stream = run(MAIN)
    weights = MAIN[0].weights
    with pytest.raises(ConfigError, match=f"{edit}.*phase of its own that begins at token 768"):
        resumed(stream, two_sources(), [PhaseConfig("main", None, weights, **settings)])
    kept = PhaseConfig("main", stream.tokens_consumed, weights)
    again, difference = resumed(stream, two_sources(), [kept, PhaseConfig("then", None, weights, **settings)])
    assert said in difference.changed.items()
    assert again.next_batch().rows == stream.next_batch().rows, "the order is another matter"
    quiet, _ = resumed(again, two_sources(), [kept, PhaseConfig("then", None, weights, **settings)])
    assert [past.name for past in quiet.history.phases] == ["main", "then"]


def test_a_checkpoint_that_says_nothing_about_masks_takes_those_of_the_config() -> None:
    stream = run(MAIN)
    state = json_state(stream)
    for past in state["history"]:
        del past["mask"], past["loss_mask_tokens"]
    phases = [PhaseConfig("main", None, MAIN[0].weights, mask="none")]
    again, difference = resume(state, two_sources(), schedule_of(two_sources(), phases), 2)
    assert "mask" not in difference.settings
    assert again.next_batch().rows == stream.next_batch().rows


def test_renaming_a_phase_is_no_edit() -> None:
    resumed(run(MAIN), two_sources(), [PhaseConfig("renamed", None, {"ko": 0.5, "en": 0.5})])


def test_a_source_is_known_by_its_content_not_by_its_name() -> None:
    stream, plain = run(MAIN), run(MAIN)
    renamed = world(
        virtual_source("english", SIZES["en"], content="en"), virtual_source("korean", SIZES["ko"], content="ko")
    )
    fresh, difference = resumed(stream, renamed, [PhaseConfig("main", None, {"korean": 0.5, "english": 0.5})])
    assert fresh.next_batch().rows == plain.next_batch().rows
    assert "was called ko" in difference.text()


def test_a_dropped_source_keeps_its_counters_and_continues_where_it_was() -> None:
    stream = run(MAIN)
    english = stream.sources.named("en").id
    before = json_state(stream)["sources"][english]
    only_korean = world(virtual_source("ko", SIZES["ko"]))
    without, difference = resumed(stream, only_korean, [PhaseConfig("main", None, {"ko": 1})])
    assert "not in the config" in difference.text()
    without.next_batch()
    kept = json_state(without)["sources"][english]
    assert (kept["read"], kept["cursor"]) == (before["read"], before["cursor"])
    phases = [PhaseConfig("main", 768, {"ko": 1, "en": 1}), PhaseConfig("ko", 64, {"ko": 1}), *MAIN]
    back, _ = resumed(without, two_sources(), phases)
    assert back.counters[english].read == before["read"]
    assert list(back.cursors[english]) == before["cursor"]


def test_an_added_source_starts_at_its_beginning() -> None:
    sources = world(*two_sources(), virtual_source("web", SIZES["web"]))
    phases = [PhaseConfig("main", 768, {"ko": 1, "en": 1}), PhaseConfig("more", None, {"web": 1})]
    fresh, difference = resumed(run(MAIN), sources, phases)
    (rows,) = fresh.next_batch().taken.values()
    assert (rows[0].at.epoch, rows[0].at.first) == (0, 0)
    assert "source web: added" in difference.text()


def test_an_added_source_cannot_enter_the_past() -> None:
    sources = world(*two_sources(), virtual_source("web", SIZES["web"]))
    with pytest.raises(ConfigError, match="weight of"):
        resumed(run(MAIN), sources, [PhaseConfig("main", None, {"ko": 1, "en": 1, "web": 1})])


def test_new_shards_become_a_generation_wherever_they_sort() -> None:
    stream = run(MAIN)
    grown = virtual_source("ko", SIZES["ko"])
    shards = (virtual_shard("aaa", 100), *grown.shards())
    grown = Source("ko", "ko", (), None, (Generation(shards, BLOCK),), 7)
    fresh, difference = resumed(stream, world(grown, virtual_source("en", SIZES["en"])), MAIN)
    assert [len(group.shards) for group in fresh.sources.named("ko").generations] == [3, 1]
    assert fresh.sources.named("ko").id == stream.sources.named("ko").id
    assert "1 new shards, read from the next epoch on" in difference.text()


def test_lost_shards_are_refused() -> None:
    smaller = Source(
        "ko", "ko", (), None, (Generation(tuple(virtual_source("ko", SIZES["ko"]).shards()[:2]), BLOCK),), 7
    )
    with pytest.raises(DataError, match=r"lost 1 of the 3 shards"):
        resumed(run(MAIN), world(smaller, virtual_source("en", SIZES["en"])), MAIN)


def test_two_sources_cannot_become_one() -> None:
    both = (*virtual_source("ko", SIZES["ko"]).shards(), *virtual_source("en", SIZES["en"]).shards())
    merged = Source("all", "ko", (), None, (Generation(both, BLOCK),), 7)
    with pytest.raises(DataError, match="sources of their own"):
        resumed(run(MAIN), world(merged), [PhaseConfig("main", None, {"all": 1})])


def test_what_decides_the_order_cannot_change() -> None:
    stream = run(MAIN)
    with pytest.raises(ConfigError, match=r"run.seed is 8.*began with 7"):
        resumed(stream, two_sources(seed=8), MAIN)
    state = json_state(stream)
    sources = two_sources()
    with pytest.raises(ConfigError, match=r"data.block_length is 16.*began with 32"):
        resume({**state, "block_length": 32}, sources, schedule_of(sources, MAIN), 2)
    with pytest.raises(DataError, match="order version 99"):
        resume({**state, "order_version": 99}, sources, schedule_of(sources, MAIN), 2)


def test_the_block_length_comes_from_the_checkpoint_when_the_config_is_silent() -> None:
    config = Config(train=TrainConfig(sequence_length=16), data=DataConfig(phases=MAIN))
    assert choose_block_length(config) == 16
    assert choose_block_length(config, {"block_length": 64}) == 64
    config.data.block_length = 32
    assert choose_block_length(config, {"block_length": 64}) == 32


@dataclass
class Life:
    """A run with all that can happen to it, its config as a user would edit it, and a witness of what it read."""

    ledger: Path
    past: list[tuple[int, dict[str, float], int]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    length: int = BLOCK
    rows: int = 2
    window: int = 2
    caps: dict[str, float | None] = field(default_factory=dict)
    shards: dict[str, list[int]] = field(default_factory=lambda: copy.deepcopy(SIZES))
    witness: Witness = field(default_factory=Witness)

    def __post_init__(self) -> None:
        self.names = ["ko", "en"]
        self.weights = {"ko": 0.5, "en": 0.5}
        self.stream = TokenStream(self.sources(), self.schedule(), self.window)
        self.book = LedgerWriter(self.ledger, self.stream)
        self.checkpoint()

    def sources(self) -> Sources:
        return world(*(virtual_source(name, self.shards[name], self.caps.get(name)) for name in self.names))

    def schedule(self) -> Any:
        sources = self.sources()
        spans = [*self.past, (None, self.weights, self.length)]
        phases = []
        for tokens, weights, length in spans:
            known = {name: weight for name, weight in weights.items() if name in self.names}
            phases.append(PhaseConfig("p", tokens, known or {self.names[0]: 1.0}, length))
        return schedule_of(sources, phases, batch=self.rows * BLOCK)

    def checkpoint(self) -> None:
        self.book.flush()
        self.saved = json_state(self.stream), copy.deepcopy(self.witness), copy.deepcopy(self.past)

    def step(self, count: int, skip: bool = False) -> None:
        for _ in range(count):
            try:
                plan = self.stream.next_batch(skip=skip)
            except DataExhaustedError:
                return
            self.witness.see(self.stream.sources, plan)
            self.book.add(plan)

    def restart(self) -> None:
        state, self.witness, self.past = copy.deepcopy(self.saved)
        self.stream, _ = resume(state, self.sources(), self.schedule(), self.window)
        self.book = LedgerWriter(self.ledger, self.stream)

    def edit(self, names: list[str], weights: list[float], length: int, rows: int, window: int, cap: float) -> None:
        """Stop with a checkpoint, close the present phase where it is and go on with other settings."""
        self.checkpoint()
        begun = sum(tokens for tokens, _, _ in self.past)
        if self.stream.tokens_consumed > begun:
            self.past.append((self.stream.tokens_consumed - begun, self.weights, self.length))
            self.saved = (*self.saved[:2], copy.deepcopy(self.past))
        self.names, self.rows, self.window, self.length = names, rows, window, length
        self.weights = dict(zip(names, weights, strict=False))
        self.caps = {name: cap for name in names[1:]}
        self.restart()

    def grow(self, name: str, tokens: int) -> None:
        self.checkpoint()
        self.shards[name].append(tokens)
        self.restart()


EVENTS = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 25)),
    st.tuples(st.just("skip"), st.integers(1, 3)),
    st.just(("checkpoint",)),
    st.just(("kill",)),
    st.tuples(
        st.just("edit"),
        st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=4, unique=True),
        st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
        st.sampled_from([4, 8, 16]),
        st.integers(1, 5),
        st.integers(1, 4),
        st.sampled_from([0.5, 1.0, 1.5, 2.0, 100.0]),
    ),
    st.tuples(st.just("grow"), st.sampled_from(sorted(SIZES)), st.integers(2, 90)),
)


@settings(max_examples=120, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=14))
def test_no_life_of_a_run_reads_a_token_twice_in_an_epoch_or_loses_one(events: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as directory:
        life = Life(Path(directory) / "ledger.jsonl")
        actions: dict[str, Callable[..., None]] = {
            "step": life.step,
            "skip": lambda count: life.step(count, skip=True),
            "checkpoint": life.checkpoint,
            "kill": life.restart,
            "edit": life.edit,
            "grow": life.grow,
        }
        for name, *arguments in events:
            actions[name](*arguments)
            life.witness.check_complete(life.stream)
        life.checkpoint()
        assert audit(life.ledger, life.stream.tokens_consumed) == []
        counters = life.stream.state_dict()["sources"].values()
        found = account(life.ledger)
        assert found.tokens == sum(kept["read"] + kept["skipped"] for kept in counters)
        assert sum(total.skipped for total in found.sources) == sum(kept["skipped"] for kept in counters)
