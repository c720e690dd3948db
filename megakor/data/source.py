"""A source: a frozen, ordered list of shards cut into blocks, the unit in which its text is put in order.

Blocks are cut in file order, never cross a shard, and leave one token of the shard after them, because the label of a
block's last token is the token that follows. What is left at the end of a shard, its tail, is never read; the ledger
says how much it is.

The blocks of a regrouped shard are its rows. They have padding, so that there are more positions than tokens; in all
other text each position is a token.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

from megakor.corpus.shard import ShardReader
from megakor.data.reading import Reading, blocks_chosen
from megakor.data.row_shard import RowShard, shard_from_json


class Piece(NamedTuple):
    """`length` consecutive tokens of a shard from offset `start`; the token after them is there too, as a label.

    Of a `RowShard`, a whole row.
    """

    shard: ShardReader
    start: int
    length: int


@dataclass(frozen=True)
class Generation:
    """Shards that entered a source together and are permuted together."""

    shards: tuple[ShardReader, ...]
    block_length: int

    @cached_property
    def first_blocks(self) -> list[int]:
        """Number of the first block of each shard, and the number of blocks."""
        return list(accumulate((blocks_in(shard, self.block_length) for shard in self.shards), initial=0))

    @property
    def blocks(self) -> int:
        """Blocks of all its shards."""
        return self.first_blocks[-1]

    def locate(self, block: int) -> tuple[ShardReader, int]:
        """The shard of a block, and the token offset at which the block begins there."""
        shard = bisect_right(self.first_blocks, block) - 1
        return self.shards[shard], (block - self.first_blocks[shard]) * self.block_length

    @cached_property
    def real_tokens(self) -> int:
        """Tokens of all its blocks, without padding."""
        positions = self.blocks * self.block_length
        return positions - sum(shard.tokens - shard.real_tokens for shard in self.shards if isinstance(shard, RowShard))

    @cached_property
    def tail_tokens(self) -> int:
        """Tokens at the ends of shards that fill no block."""
        return sum(shard.tokens for shard in self.shards) - self.blocks * self.block_length


@dataclass(frozen=True)
class Source:
    """Text of one kind and the order in which it is read.

    `id` stands for the first generation's content: a source keeps it when it is moved, renamed or grows.
    `epochs` is the cap, None where there is none, and `exhausted` what happens there. `seed` is the run's. `readings`
    say how its epochs go through it, from the first one on.
    """

    name: str
    language: str
    tags: tuple[str, ...]
    epochs: float | None
    generations: tuple[Generation, ...]
    seed: int
    readings: tuple[Reading, ...] = (Reading(),)
    exhausted: str = "redistribute"

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits from the fingerprints of the first generation."""
        joined = "".join(shard.fingerprint() for shard in self.generations[0].shards)
        return hashlib.blake2b(joined.encode(), digest_size=8).hexdigest()

    @property
    def block_length(self) -> int:
        """Tokens in a block."""
        return self.generations[0].block_length

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of each generation."""
        return tuple(generation.blocks for generation in self.generations)

    @property
    def tail_tokens(self) -> int:
        """Tokens that no epoch reads."""
        return sum(generation.tail_tokens for generation in self.generations)

    @cached_property
    def row_tokens(self) -> int | None:
        """Length of the rows, where the shards are regrouped ones; else None: blocks are cut to any length."""
        first = self.generations[0].shards[0]
        return first.row_tokens if isinstance(first, RowShard) else None

    @property
    def mean_row(self) -> int:
        """Tokens of an average block, of which padding takes a part where blocks are rows."""
        return round(sum(generation.real_tokens for generation in self.generations) / sum(self.blocks))

    def reading(self, epoch: int) -> Reading:
        """How an epoch goes through it."""
        return next(reading for reading in reversed(self.readings) if reading.first_epoch <= epoch)

    def epoch_blocks(self, epoch: int, generations: int) -> tuple[int, ...]:
        """Blocks that an epoch in which the first `generations` are open reads, of each of these."""
        return self._chosen(self.reading(epoch), generations)

    def epoch_positions(self, epoch: int, generations: int) -> int:
        """Positions of such an epoch."""
        return sum(self.epoch_blocks(epoch, generations)) * self.block_length

    def positions_between(self, first: int, stop: int) -> int:
        """Positions of the epochs [first, stop), with all generations open."""
        ends = [*(reading.first_epoch for reading in self.readings[1:]), stop]
        count = len(self.generations)
        return (
            sum(
                max(0, min(end, stop) - max(reading.first_epoch, first)) * sum(self._chosen(reading, count))
                for reading, end in zip(self.readings, ends, strict=True)
            )
            * self.block_length
        )

    def epoch_tokens(self, generations: int, epoch: int | None = None) -> int:
        """Tokens of such an epoch; of those to come where none is given. Estimated for a subset of padded rows."""
        reading = self.readings[-1] if epoch is None else self.reading(epoch)
        opened = zip(self._chosen(reading, generations), self.generations[:generations], strict=True)
        return sum(generation.real_tokens * chosen // (generation.blocks or 1) for chosen, generation in opened)

    def _chosen(self, reading: Reading, generations: int) -> tuple[int, ...]:
        return blocks_chosen(self.subset_blocks(reading), self.blocks[:generations])

    def subset_blocks(self, reading: Reading) -> int | None:
        """Whole blocks in the tokens of a subset. Rows count by their mean in the first generation, which stays."""
        if reading.subset_tokens is None:
            return None
        first = self.generations[0]
        return reading.subset_tokens * first.blocks // first.real_tokens

    def shards(self) -> list[ShardReader]:
        """Those of every generation, in order."""
        return [shard for generation in self.generations for shard in generation.shards]

    def describe(self) -> dict[str, Any]:
        """Everything but the tokens themselves, as JSON; `from_description` reads it back without touching a file."""
        headers = [[shard.header.to_json() for shard in generation.shards] for generation in self.generations]
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "tags": list(self.tags),
            "epochs": self.epochs,
            "generations": headers,
            "readings": [reading.to_json() for reading in self.readings],
            "exhausted": self.exhausted,
        }

    @classmethod
    def from_description(cls, fields: dict[str, Any], seed: int, block_length: int) -> Source:
        """The way back from `describe`."""
        generations = tuple(
            make_generation([shard_from_json(header) for header in headers], block_length)
            for headers in fields["generations"]
        )
        return cls(
            fields["name"],
            fields["language"],
            tuple(fields["tags"]),
            fields["epochs"],
            generations,
            seed,
            readings_from_json(fields),
            fields.get("exhausted", "redistribute"),
        )


def readings_from_json(fields: dict[str, Any]) -> tuple[Reading, ...]:
    """Those of a described source, or of one in a checkpoint; where nothing is said, all of it is read, shuffled."""
    return tuple(Reading.from_json(reading) for reading in fields.get("readings", [{}]))


def blocks_in(shard: ShardReader, block_length: int) -> int:
    """Blocks of a shard: its rows, or as many as have one more token behind them."""
    if isinstance(shard, RowShard):
        return shard.rows
    return max(shard.tokens - 1, 0) // block_length


def make_generation(shards: Sequence[ShardReader], block_length: int) -> Generation:
    """Shards in blocks of this length; in their own rows if they are regrouped."""
    rows = shards[0].row_tokens if isinstance(shards[0], RowShard) else block_length
    return Generation(tuple(shards), rows)


def regroup(source: Source, groups: Sequence[Sequence[ShardReader]]) -> Source:
    """The same source with its shards grouped into these generations."""
    return replace(source, generations=tuple(Generation(tuple(shards), source.block_length) for shards in groups))
