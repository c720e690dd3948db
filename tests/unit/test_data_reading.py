"""Subsets of a source and the order of its file: which blocks an epoch reads, and when."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from data_worlds import BLOCK, schedule_of, virtual_source, world, write_shard
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig, SubsetConfig
from megakor.data.account import Account, account
from megakor.data.audit import audit
from megakor.data.editing import resume
from megakor.data.ledger import LedgerWriter
from megakor.data.order import Cursor, Row, beginning, epochs_read, next_row, pieces_of, position_of, tokens_left
from megakor.data.reading import Reading, blocks_chosen
from megakor.data.source import Source, regroup
from megakor.data.sources import Sources, open_sources
from megakor.data.statement import statement
from megakor.data.stream import TokenStream
from megakor.errors import DataError

MAIN = [PhaseConfig("main", None, {"ko": 1, "en": 1})]
SHARDS = st.lists(st.integers(BLOCK + 1, 200), min_size=1, max_size=4)
READINGS = st.builds(
    Reading,
    subset_tokens=st.none() | st.integers(BLOCK, 400),
    resample=st.booleans(),
    shuffled=st.booleans(),
)


def source_of(shards: list[int], *readings: Reading, epochs: float | None = None, name: str = "ko") -> Source:
    """A subset that is larger than the source is cut down to it."""
    source = virtual_source(name, shards, epochs)
    there = sum(source.blocks) * BLOCK
    fitting = [replace(one, subset_tokens=one.subset_tokens and min(one.subset_tokens, there)) for one in readings]
    return replace(source, readings=tuple(fitting))


def walk(source: Source, at: Cursor, length: int, window: int) -> tuple[list[Row], Cursor]:
    """The rows of the rest of an epoch."""
    rows: list[Row] = []
    epoch = at.epoch
    while True:
        row, after = next_row(source, at, length, window)
        if row.at.epoch != epoch:
            return rows, at
        rows.append(row)
        at = after


def epoch_of(source: Source, epoch: int, length: int = BLOCK, window: int = 3) -> list[int]:
    """The tokens of an epoch in reading order, by their number in all blocks of the source."""
    rows, _ = walk(source, beginning(source)._replace(epoch=epoch), length, window)
    return [token for row in rows for token in tokens_of(source, row)]


def tokens_of(source: Source, row: Row) -> list[int]:
    generation = source.generations[row.at.generation]
    begun = sum(source.blocks[: row.at.generation])
    numbers: list[int] = []
    for piece in pieces_of(source, row):
        first = (begun + generation.first_blocks[generation.shards.index(piece.shard)]) * BLOCK + piece.start
        numbers += range(first, first + piece.length)
    return numbers


def blocks_of(tokens: list[int]) -> list[int]:
    return list(dict.fromkeys(token // BLOCK for token in tokens))


@given(SHARDS, READINGS, st.integers(0, 5), st.sampled_from([4, 8, 16]), st.integers(1, 5))
def test_an_epoch_reads_every_token_of_its_blocks_exactly_once(
    shards: list[int], reading: Reading, epoch: int, length: int, window: int
) -> None:
    source = source_of(shards, reading)
    tokens = epoch_of(source, epoch, length, window)
    blocks = blocks_of(tokens)
    wanted = source.readings[0].subset_tokens
    assert len(blocks) == (sum(source.blocks) if wanted is None else wanted // BLOCK)
    assert sorted(tokens) == [block * BLOCK + token for block in sorted(blocks) for token in range(BLOCK)]


@given(SHARDS, READINGS, st.integers(0, 4))
def test_a_part_that_is_not_drawn_anew_is_the_same_in_every_epoch(
    shards: list[int], reading: Reading, epoch: int
) -> None:
    source = source_of(shards, replace(reading, resample=False))
    assert sorted(epoch_of(source, epoch)) == sorted(epoch_of(source, epoch + 1))


@pytest.mark.parametrize("shuffled", [True, False])
def test_a_part_that_is_drawn_anew_is_another_one_in_every_epoch(shuffled: bool) -> None:
    source = source_of([BLOCK * 400 + 1], Reading(0, BLOCK * 40, resample=True, shuffled=shuffled))
    parts = [set(blocks_of(epoch_of(source, epoch))) for epoch in range(4)]
    for before, after in pairwise(parts):
        assert 0 <= len(before & after) <= 15, "about 4 of 40 meet by chance"
    assert 100 < len(set.union(*parts)) <= 160


@pytest.mark.parametrize("resample", [True, False])
@pytest.mark.parametrize("shuffled", [True, False])
def test_every_block_is_as_likely_as_the_others(resample: bool, shuffled: bool) -> None:
    counts = [0] * 20
    for seed in range(400):
        source = virtual_source("ko", [BLOCK * 20 + 1], seed=seed)
        source = replace(source, readings=(Reading(0, BLOCK * 5, resample, shuffled),))
        for block in blocks_of(epoch_of(source, 1)):
            counts[block] += 1
    assert sum(counts) == 2000
    assert all(60 <= count <= 140 for count in counts), "100 of 400 expected, 8.7 the standard deviation"


def test_the_same_part_comes_in_a_new_order_every_epoch() -> None:
    source = source_of([BLOCK * 400 + 1], Reading(0, BLOCK * 40))
    assert epoch_of(source, 0) != epoch_of(source, 1)


@given(SHARDS, READINGS, st.integers(0, 3), st.sampled_from([4, 8, 16]), st.integers(1, 5))
def test_file_order_is_the_order_of_the_shards_in_every_epoch(
    shards: list[int], reading: Reading, epoch: int, length: int, window: int
) -> None:
    source = source_of(shards, replace(reading, shuffled=False))
    tokens = epoch_of(source, epoch, length, window)
    assert tokens == sorted(tokens)


def test_a_part_in_file_order_goes_evenly_through_the_whole() -> None:
    source = source_of([BLOCK * 400 + 1], Reading(0, BLOCK * 40, shuffled=False))
    assert [block // 10 for block in blocks_of(epoch_of(source, 0))] == list(range(40))


@given(SHARDS, READINGS, st.integers(0, 60), st.sampled_from([4, 8, 16]), st.integers(1, 5))
def test_a_place_is_found_without_reading_up_to_it(
    shards: list[int], reading: Reading, rows: int, length: int, window: int
) -> None:
    source, at = source_of(shards, reading), beginning(virtual_source("ko", shards))
    for _ in range(rows):
        _, at = next_row(source, at, length, window)
    row, _ = next_row(source, at, length, window)
    again = Source.from_description(json.loads(json.dumps(source.describe())), source.seed, BLOCK)
    assert again.describe() == source.describe()
    assert (
        tokens_of(again, row) == epoch_of(source, row.at.epoch, length, window)[position_of(source, row.at) :][:length]
    )


@given(SHARDS, READINGS, READINGS, st.integers(1, 4), st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.75, 6.0]))
def test_a_cap_counts_epochs_of_the_part(
    shards: list[int], first: Reading, second: Reading, since: int, epochs: float
) -> None:
    source = source_of(shards, first, replace(second, first_epoch=since), epochs=epochs)
    sizes = [len(blocks_of(epoch_of(source, epoch))) for epoch in range(7)]
    allowed = (sum(sizes[: int(epochs)]) + int(epochs % 1 * sizes[int(epochs)])) * BLOCK
    at, read = beginning(source), 0
    assert tokens_left(source, at) == allowed
    while read < allowed:
        _, at = next_row(source, at, BLOCK, 1)
        read += BLOCK
        assert tokens_left(source, at) == allowed - read
    assert int(epochs_read(source, at)) in (int(epochs), int(epochs) - 1 + (epochs % 1 == 0))


@given(st.integers(0, 500), st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(sum))
def test_a_part_takes_its_share_of_every_generation(wanted: int, blocks: list[int]) -> None:
    chosen = blocks_chosen(wanted, tuple(blocks))
    assert sum(chosen) == min(wanted, sum(blocks))
    for mine, there in zip(chosen, blocks, strict=True):
        assert 0 <= mine <= there
        assert abs(mine - min(wanted, sum(blocks)) * there / sum(blocks)) < 1


@given(SHARDS, READINGS, st.integers(BLOCK + 1, 200), st.integers(0, 12))
def test_shards_that_join_are_drawn_from_in_the_next_epoch(
    shards: list[int], reading: Reading, more: int, rows: int
) -> None:
    source, at = source_of(shards, reading), beginning(virtual_source("ko", shards))
    for _ in range(rows):
        _, at = next_row(source, at, BLOCK, 1)
    grown = regroup(source, [source.shards(), virtual_source("more", [more]).shards()])
    rest, _ = walk(source, at, BLOCK, 1)
    rest_of_grown, end = walk(grown, at, BLOCK, 1)
    assert [tokens_of(source, row) for row in rest] == [tokens_of(grown, row) for row in rest_of_grown]
    row, end = next_row(grown, end, BLOCK, 1)
    following, _ = walk(grown, end, BLOCK, 1)
    tokens = [token for row in [row, *following] for token in tokens_of(grown, row)]
    assert len(tokens) == len(set(tokens)) == grown.epoch_positions(row.at.epoch, 2)


def test_the_part_of_a_billion_blocks_needs_no_memory() -> None:
    for reading in (Reading(0, BLOCK * 10**8), Reading(0, BLOCK * 10**8, True), Reading(0, BLOCK * 10**8, True, False)):
        source = source_of([BLOCK * 10**9 + 1], reading)
        row, _ = next_row(source, beginning(source)._replace(epoch=3, first=10**8 - 5), 4, 256)
        assert row.at.blocks == 5
        assert 0 <= pieces_of(source, row)[0].start < BLOCK * 10**9


def two_sources(*readings: Reading, **more: int) -> Sources:
    korean = source_of([BLOCK * 20 + 1], *readings)
    if more:
        korean = regroup(korean, [[*korean.shards(), *virtual_source("more", [more["grown"]]).shards()]])
    return world(korean, virtual_source("en", [BLOCK * 500 + 1]))


def resumed(stream: TokenStream, sources: Sources) -> tuple[TokenStream, str]:
    state = json.loads(json.dumps(stream.state_dict()))
    fresh, difference = resume(state, sources, schedule_of(sources, MAIN), 2)
    return fresh, difference.text()


@given(READINGS, st.lists(st.integers(0, 40), max_size=5))
def test_a_killed_run_goes_on_with_the_same_rows(reading: Reading, kills: list[int]) -> None:
    sources = two_sources(reading)
    whole, stream = (TokenStream(sources, schedule_of(sources, MAIN), 2) for _ in range(2))
    for number in range(40):
        for _ in range(kills.count(number)):
            stream, text = resumed(stream, two_sources(reading))
            assert "from epoch" not in text
        assert stream.next_batch().rows == whole.next_batch().rows


@given(READINGS, READINGS, st.integers(1, 30), st.booleans())
def test_another_part_or_order_holds_from_the_next_epoch_on(
    before: Reading, after: Reading, batches: int, grows: bool
) -> None:
    """The epoch that is open ends as it was begun; in the ledger nothing is read twice inside an epoch, or lost."""
    stream = TokenStream(sources := two_sources(before), schedule_of(sources, MAIN), 2)
    for _ in range(batches):
        stream.next_batch()
    place = stream.cursors[stream.sources.named("ko").id]
    fresh, text = resumed(stream, two_sources(after, **({"grown": BLOCK * 9 + 1} if grows else {})))
    old, new = stream.sources.named("ko"), fresh.sources.named("ko")
    assert new.reading(place.epoch) == old.reading(place.epoch)
    assert [row.at for row in walk(old, place, BLOCK, 2)[0]] == [row.at for row in walk(new, place, BLOCK, 2)[0]]
    assert new.reading(place.epoch + 1).same_as(two_sources(after).named("ko").readings[0])
    assert ("from epoch" in text) == (not old.readings[-1].same_as(new.readings[-1]))
    back, _ = resumed(fresh, two_sources(before, **({"grown": BLOCK * 9 + 1} if grows else {})))
    assert back.sources.named("ko").readings == old.readings, "a change that was taken back before it held"


def test_what_was_not_begun_is_read_as_the_config_has_it_now() -> None:
    only_english = [PhaseConfig("main", None, {"en": 1})]
    stream = TokenStream(two_sources(Reading()), schedule_of(two_sources(Reading()), only_english), 2)
    stream.next_batch()
    sources = two_sources(Reading(0, BLOCK * 3))
    fresh, _ = resume(stream.state_dict(), sources, schedule_of(sources, only_english), 2)
    assert fresh.sources.named("ko").readings == (Reading(0, BLOCK * 3),)


def read_all(path: Path, sources: Sources, tokens: int) -> TokenStream:
    stream = TokenStream(sources, schedule_of(sources, MAIN, total=tokens), 4)
    book = LedgerWriter(path, stream)
    while stream.tokens_consumed < tokens:
        book.add(stream.next_batch())
    book.flush()
    return stream


def opened(directory: Path, subset: SubsetConfig | None, order: str = "shuffled") -> Sources:
    for number, name in enumerate(("ko", "en")):
        if not (directory / f"{name}.bin").exists():
            write_shard(directory / name, [[number, 2, 3, 4]] * 81)
    config = Config()
    config.data.sources = {name: SourceConfig(str(directory / name), name) for name in ("ko", "en")}
    config.data.sources["ko"].subset, config.data.sources["ko"].order = subset, order
    return open_sources(config, BLOCK)


@pytest.mark.parametrize("resample", [True, False])
def test_the_ledger_counts_epochs_of_the_part_and_what_lies_outside(tmp_path: Path, resample: bool) -> None:
    sources = opened(tmp_path, SubsetConfig(BLOCK * 5 + 3, resample))
    stream = read_all(tmp_path / "l.jsonl", sources, BLOCK * 24)
    assert audit(tmp_path / "l.jsonl", stream.tokens_consumed) == []
    found = account(tmp_path / "l.jsonl")
    korean, english = found.sources
    assert (korean.tokens, korean.blocks, korean.epochs, korean.epoch_tokens) == (BLOCK * 12, 12, 2.4, BLOCK * 5)
    assert (korean.unread, korean.outside, korean.tails) == (BLOCK * 3, BLOCK * 15, 4)
    assert (korean.documents, korean.documents_estimated) == (12 * 4, False)
    assert (english.epochs, english.outside) == (0.6, 0)
    assert "outside" in statement(found)
    assert "outside" not in statement(account_without_subsets(tmp_path))


def account_without_subsets(directory: Path) -> Account:
    read_all(directory / "plain.jsonl", opened(directory, None, "file"), BLOCK * 24)
    return account(directory / "plain.jsonl")


def test_a_change_of_the_part_is_in_the_account(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    stream = read_all(path, opened(tmp_path, SubsetConfig(BLOCK * 5)), BLOCK * 24)
    fresh, text = resumed(stream, opened(tmp_path, SubsetConfig(BLOCK * 8, resample=True)))
    assert "80 tokens of it, the same in every epoch, shuffled -> 128 tokens of it, drawn anew" in text
    assert "from epoch 3 on" in text
    book = LedgerWriter(path, fresh)
    for _ in range(6):
        book.add(fresh.next_batch())
    book.flush()
    assert audit(path, fresh.tokens_consumed) == []
    korean = account(path).sources[0]
    assert (korean.blocks, korean.epoch_tokens, korean.outside) == (24, BLOCK * 8, BLOCK * 12)
    assert korean.epochs == 4 + 1 / 8, "3 epochs of 5 blocks, 1 of 8, and a block"


@pytest.mark.parametrize(("tokens", "way_out"), [(BLOCK * 20 + BLOCK, "a smaller one"), (BLOCK - 1, "a larger one")])
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, tokens: int, way_out: str) -> None:
    with pytest.raises(DataError, match=rf"ko.subset.tokens is {tokens}, and the source has 320 .*{way_out}"):
        opened(tmp_path, SubsetConfig(tokens))


def test_early_checkpoints_and_ledgers_know_no_readings() -> None:
    fields = virtual_source("ko", [100]).describe()
    del fields["readings"], fields["exhausted"]
    assert Source.from_description(fields, 7, BLOCK).readings == (Reading(),)
