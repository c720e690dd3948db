from itertools import pairwise

from data_worlds import BLOCK, virtual_source
from hypothesis import given
from hypothesis import strategies as st

from megakor.data.order import Row, beginning, next_row, pieces_of, position_of, rows_left
from megakor.data.source import Source, blocks_in, regroup

SHARDS = st.lists(st.integers(2, 150), min_size=1, max_size=4).map(lambda sizes: [*sizes, BLOCK + 1])
LENGTHS = st.lists(st.sampled_from([4, 8, 16]), min_size=1, max_size=60)


def take(source: Source, lengths: list[int], window: int) -> list[Row]:
    rows, at = [], beginning(source)
    for length in lengths:
        row, at = next_row(source, at, length, window)
        rows.append(row)
    return rows


@given(shards=SHARDS, window=st.integers(1, 5), length=st.sampled_from([4, 8, 16]))
def test_an_epoch_reads_every_block_once(shards: list[int], window: int, length: int) -> None:
    source = virtual_source("ko", shards)
    rows = take(source, [length] * (source.epoch_tokens(1) // length), window)
    tokens = [
        (str(piece.shard.prefix), piece.start + offset)
        for row in rows
        for piece in pieces_of(source, row)
        for offset in range(piece.length)
    ]
    expected = [
        (str(shard.prefix), offset) for shard in source.shards() for offset in range(blocks_in(shard, BLOCK) * BLOCK)
    ]
    assert sorted(tokens) == sorted(expected)


@given(shards=SHARDS, window=st.integers(1, 5), lengths=LENGTHS)
def test_positions_follow_each_other_whatever_the_lengths(shards: list[int], window: int, lengths: list[int]) -> None:
    source = virtual_source("ko", shards)
    for before, after in pairwise(take(source, lengths, window)):
        if before.at.epoch == after.at.epoch:
            assert position_of(source, after.at) == position_of(source, before.at) + before.tokens
        else:
            assert position_of(source, before.at) + before.tokens == source.epoch_tokens(1)
            assert position_of(source, after.at) == 0


@given(shards=SHARDS, window=st.integers(1, 5), length=st.sampled_from([4, 8, 16]))
def test_rows_are_whole_pieces_while_the_length_stays(shards: list[int], window: int, length: int) -> None:
    source = virtual_source("ko", shards)
    for row in take(source, [length] * 40, window):
        (piece,) = pieces_of(source, row)
        assert piece.length == length
        assert piece.start % length == 0


def test_a_longer_length_joins_the_open_window_and_pads_its_end() -> None:
    source = virtual_source("ko", [BLOCK * 4 + 1])
    rows = take(source, [4] * 5 + [16] * 3, window=2)
    assert [row.tokens for row in rows] == [4] * 5 + [12] + [16, 16]
    assert sum(piece.length for piece in pieces_of(source, rows[5])) == 12
    assert len(pieces_of(source, rows[6])) == 1


def test_a_shorter_length_splits_the_rows_of_the_open_window_first() -> None:
    source = virtual_source("ko", [BLOCK * 8 + 1])
    rows = take(source, [8] + [4] * 7, window=2)
    whole = take(source, [8] * 4, window=2)
    split = [piece for row in rows for piece in pieces_of(source, row)]
    assert [(piece.start, piece.length) for piece in split[1:3]] == [
        (pieces_of(source, whole[1])[0].start, 4),
        (pieces_of(source, whole[1])[0].start + 4, 4),
    ]
    assert rows[-1].at.first == 2, "the next window is cut at the new length"
    assert rows[-1].at.cut == 4


def test_a_change_from_whole_blocks_takes_effect_at_once() -> None:
    source = virtual_source("ko", [BLOCK * 40 + 1])
    rows = take(source, [16] * 3 + [4], window=8)
    assert (rows[-1].at.first, rows[-1].at.blocks, rows[-1].at.cut) == (3, 8, 4)


def test_short_rows_are_mixed_inside_their_window() -> None:
    source = virtual_source("ko", [BLOCK * 64 + 1])
    starts = [pieces_of(source, row)[0].start for row in take(source, [4] * 128, window=32)]
    neighbours = sum(after - before == 4 for before, after in pairwise(starts))
    assert neighbours < 10


def test_epochs_have_different_orders() -> None:
    source = virtual_source("ko", [BLOCK * 32 + 1])
    starts = [pieces_of(source, row)[0].start for row in take(source, [16] * 64, window=1)]
    assert starts[:32] != starts[32:]
    assert sorted(starts[:32]) == sorted(starts[32:])


def test_a_new_generation_is_read_from_the_next_epoch_on() -> None:
    old = virtual_source("ko", [BLOCK * 3 + 1])
    row, at = next_row(old, beginning(old), 16, 1)
    new = virtual_source("more", [BLOCK * 2 + 1]).shards()
    grown = regroup(old, [old.shards(), new])
    assert grown.id == old.id
    generations = [0]
    for _ in range(7):
        row, at = next_row(grown, at, 16, 1)
        generations.append(row.at.generation)
    assert generations == [0, 0, 0, 0, 0, 0, 1, 1]
    assert at.generations == 2


@given(
    shards=SHARDS,
    epochs=st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.75]),
    window=st.integers(1, 4),
    lengths=st.lists(st.sampled_from([4, 8, 16]), min_size=200, max_size=200),
)
def test_a_cap_is_never_passed_and_leaves_less_than_a_row(
    shards: list[int], epochs: float, window: int, lengths: list[int]
) -> None:
    source = virtual_source("ko", shards, epochs)
    blocks = sum(source.blocks)
    allowed = (int(epochs) * blocks + int(epochs % 1 * blocks)) * BLOCK
    at, read = beginning(source), 0
    for length in lengths:
        left = rows_left(source, at, length)
        if not left:
            assert allowed - read < length
            continue
        row, at = next_row(source, at, length, window)
        read += row.tokens
        after = rows_left(source, at, length)
        assert after == left - 1
        assert read <= allowed


def test_the_order_needs_no_memory_for_a_billion_blocks() -> None:
    source = virtual_source("ko", [BLOCK * 10**9 + 1])
    row, _ = next_row(source, beginning(source)._replace(first=10**9 - 5), 4, 256)
    assert row.at.blocks == 5
    assert 0 <= pieces_of(source, row)[0].start < BLOCK * 10**9


def test_a_cap_below_what_was_read_closes_the_source() -> None:
    source = virtual_source("ko", [BLOCK * 4 + 1], epochs=0.5)
    assert rows_left(source, beginning(source)._replace(epoch=1), 16) == 0
    assert rows_left(source, beginning(source)._replace(first=2, blocks=2, cut=16, offset=16), 16) == 0
