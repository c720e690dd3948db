"""Where a source is and which row comes next: the order of reading, in constant time and memory.

The blocks of a generation, or of the subset of it that `megakor.data.reading` chooses, are visited in a keyed
permutation. A window is a run of permuted blocks; it is cut into rows of `cut` tokens and the rows are permuted inside
it, which gives the window's tokens one fixed order. In file order neither blocks nor rows are permuted. Reading takes
tokens from the front of that order. A row as long as `cut` is one piece. When the sequence length changes, what is left
of the open window is taken first: a shorter row is a part of a cut row, a longer one joins several as separate pieces,
and the last one may be short. So a position is never read twice and never lost, whatever the lengths.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from megakor.data.permutation import permutation
from megakor.data.row_shard import RowShard
from megakor.data.source import Piece, Source


class Cursor(NamedTuple):
    """The place of the next unread token of a source.

    `first` and `blocks` give the open window in permuted blocks of the generation, `cut` the length of its rows and
    `offset` the positions already read in it. `generations` is the number of generations open in this epoch.
    """

    epoch: int
    generation: int
    generations: int
    first: int
    blocks: int
    cut: int
    offset: int


class Row(NamedTuple):
    """The address of `tokens` tokens of the source with id `source`, from a place in its order.

    `padding` positions without a token follow them: a row of a regrouped shard is not always full.
    """

    source: str
    at: Cursor
    tokens: int
    padding: int = 0

    @property
    def positions(self) -> int:
        """What it takes of the order."""
        return self.tokens + self.padding


def beginning(source: Source) -> Cursor:
    """The place before the first token of a source; its first window is still to be opened."""
    return Cursor(0, 0, len(source.generations), 0, 0, 0, 0)


def next_row(source: Source, at: Cursor, length: int, window_blocks: int) -> tuple[Row, Cursor]:
    """The next row of at most `length` tokens, and the place after it. Epochs follow each other without end."""
    if at.offset == at.blocks * source.block_length:
        at = _open_window(source, at, length, window_blocks)
    positions = min(length, at.blocks * source.block_length - at.offset)
    row, after = Row(source.id, at, positions), Cursor(*at[:-1], at.offset + positions)
    padding = _padding(source, row) if source.row_tokens else 0
    return Row(source.id, at, positions - padding, padding), after


def _padding(source: Source, row: Row) -> int:
    (piece,) = pieces_of(source, row)
    assert isinstance(piece.shard, RowShard) and piece.length == source.row_tokens, "rows are read whole"
    return piece.shard.padding_at(piece.start)


def position_of(source: Source, at: Cursor) -> int:
    """Positions of the generation that lie before this place in the epoch."""
    return at.first * source.block_length + at.offset


def rows_left(source: Source, at: Cursor, length: int) -> int | None:
    """Rows of `length` tokens that the source still gives under its cap; None where it has no cap."""
    tokens = tokens_left(source, at)
    if tokens is None:
        return None
    in_window = at.blocks * source.block_length - at.offset
    if tokens <= in_window:
        return tokens // length
    return -(-in_window // length) + (tokens - in_window) // length


def tokens_left(source: Source, at: Cursor) -> int | None:
    """Positions between this place and the source's cap; None where it has no cap.

    A cap of 1.5 ends in the middle of the second epoch, at a whole block.
    """
    if source.epochs is None:
        return None
    whole = int(source.epochs)
    part = Fraction(source.epochs) - whole
    if at.epoch > whole:
        return 0
    read = positions_read(source, at)
    if at.epoch == whole:
        return max(0, _part_of_epoch(source, whole, at.generations, part) - read)
    left = source.epoch_positions(at.epoch, at.generations) - read
    later = source.positions_between(at.epoch + 1, whole)
    return left + later + _part_of_epoch(source, whole, len(source.generations), part)


def positions_read(source: Source, at: Cursor) -> int:
    """Positions of the epoch that lie before this place."""
    before = source.epoch_blocks(at.epoch, at.generations)[: at.generation]
    return sum(before) * source.block_length + position_of(source, at)


def epochs_read(source: Source, at: Cursor) -> float:
    """Epochs that lie before this place."""
    return at.epoch + positions_read(source, at) / source.epoch_positions(at.epoch, at.generations)


def pieces_of(source: Source, row: Row) -> list[Piece]:
    """Where the tokens of a row are, in reading order; neighbours in a shard are one piece."""
    at = row.at
    rows_per_block = source.block_length // at.cut
    generation, reading = source.generations[at.generation], source.reading(at.epoch)
    count = source.epoch_blocks(at.epoch, at.generations)[at.generation]
    key = (source.seed, source.id, at.generation)
    pieces: list[Piece] = []
    position, stop = at.offset, at.offset + row.positions
    while position < stop:
        number, inside = divmod(position, at.cut)
        block, part = divmod(_cut_row(source, at, number, rows_per_block), rows_per_block)
        shard, start = generation.locate(reading.block_at(at.first + block, count, generation.blocks, key, at.epoch))
        length = min(at.cut - inside, stop - position)
        _append(pieces, Piece(shard, start + part * at.cut + inside, length))
        position += length
    return pieces


def _open_window(source: Source, at: Cursor, length: int, window_blocks: int) -> Cursor:
    """The window after the one that has been read; at the end of an epoch, new generations join."""
    epoch, generation, generations = at.epoch, at.generation, at.generations
    first, chosen = at.first + at.blocks, source.epoch_blocks(epoch, generations)
    while first >= chosen[generation]:
        first, generation = 0, generation + 1
        if generation == generations:
            epoch, generation, generations = epoch + 1, 0, len(source.generations)
            chosen = source.epoch_blocks(epoch, generations)
    # Rows as long as a block are already in the order of the permutation: a window would only delay a change of length.
    blocks = 1 if length == source.block_length else min(window_blocks, chosen[generation] - first)
    return Cursor(epoch, generation, generations, first, blocks, length, 0)


def _cut_row(source: Source, at: Cursor, number: int, rows_per_block: int) -> int:
    """Which cut row of the window comes at place `number`."""
    if rows_per_block == 1 or not source.reading(at.epoch).shuffled:
        return number
    rows = permutation(
        at.blocks * rows_per_block, source.seed, source.id, at.generation, at.epoch, "rows", at.first, at.cut
    )
    return rows(number)


def _append(pieces: list[Piece], piece: Piece) -> None:
    if pieces and pieces[-1].shard is piece.shard and pieces[-1].start + pieces[-1].length == piece.start:
        pieces[-1] = pieces[-1]._replace(length=pieces[-1].length + piece.length)
    else:
        pieces.append(piece)


def _part_of_epoch(source: Source, epoch: int, generations: int, part: Fraction) -> int:
    return int(part * sum(source.epoch_blocks(epoch, generations))) * source.block_length
