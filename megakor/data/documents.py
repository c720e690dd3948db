"""Counts the documents that were read, by replaying ledger lines against the shards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from megakor.corpus.shard import bin_path, idx_path
from megakor.data.order import Cursor, Row, next_row, pieces_of
from megakor.data.source import Source, blocks_in

MOST_REPLAYED_ROWS = 100_000
"""Longer stretches of an unfinished epoch are estimated from their share of the tokens."""

Line = dict[str, Any]


def replay(source: Source, line: Line, window_blocks: int) -> Iterator[Row]:
    """The rows of one ledger line, in reading order: the ledger and the shards tell which tokens were read."""
    first, blocks, cut = line["window"]
    offset = line["position"][0] - first * source.block_length
    cursor = Cursor(line["epoch"], line["generation"], line["generations"], first, blocks, cut, offset)
    for _ in range(line["rows"]):
        row, cursor = next_row(source, cursor, line["sequence_length"], window_blocks)
        yield row


def documents_begun(source: Source, lines: list[Line], windows: dict[int, int]) -> tuple[int | None, bool]:
    """Documents whose first token was read, once per epoch, and whether the number is an estimate.

    Args:
        lines: surviving ledger lines of the source.
        windows: blocks in a window, by attempt.

    Returns:
        None for the number when a shard is not on this machine.
    """
    if not all(bin_path(shard.prefix).exists() and idx_path(shard.prefix).exists() for shard in source.shards()):
        return None, False
    count, estimated = 0, False
    stretches: dict[tuple[int, int], list[Line]] = defaultdict(list)
    for line in lines:
        stretches[line["epoch"], line["generation"]].append(line)
    for (_, generation), stretch in stretches.items():
        positions, whole = positions_read(stretch), source.blocks[generation] * source.block_length
        if positions < whole and sum(line["rows"] for line in stretch) <= MOST_REPLAYED_ROWS:
            count += sum(_begun_in_line(source, line, windows[line["attempt"]]) for line in stretch)
        else:
            count += round(_begun_in_generation(source, generation) * positions / whole)
            estimated |= positions < whole
    return count, estimated


def positions_read(lines: Iterable[Line]) -> int:
    """Positions that ledger lines cover: their tokens, and the padding of rows."""
    return sum(line["position"][1] - line["position"][0] for line in lines)


def _begun_in_line(source: Source, line: Line, window_blocks: int) -> int:
    pieces = (piece for row in replay(source, line, window_blocks) for piece in pieces_of(source, row))
    return sum(piece.shard.documents_between(piece.start, piece.start + piece.length) for piece in pieces)


def _begun_in_generation(source: Source, generation: int) -> int:
    """Documents that begin in the blocks of a generation, outside the tails."""
    length = source.block_length
    shards = source.generations[generation].shards
    return sum(shard.documents_between(0, blocks_in(shard, length) * length) for shard in shards)
