"""How the epochs of a source go through its blocks: which of them, and in which order, each found in constant time.

A random subset is the beginning of a keyed permutation of all blocks: of one and the same for every epoch, or of every
epoch's own. In file order a subset has one block drawn out of each stretch of equal length, so that it needs no sorting
and goes as evenly from the front to the back as the whole does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from typing import Any

from megakor.config.schema_data import SourceConfig
from megakor.data.permutation import derive_key, permutation


@dataclass(frozen=True)
class Reading:
    """What holds from epoch `first_epoch` on, until the next one."""

    first_epoch: int = 0
    subset_tokens: int | None = None
    """Size of the part that an epoch reads, None for all of it."""
    resample: bool = False
    """Every epoch draws a part of its own."""
    shuffled: bool = True
    """Else blocks and rows come in the order of the shards."""

    @classmethod
    def configured(cls, source: SourceConfig) -> Reading:
        """That of a source in a config."""
        tokens, resample = (source.subset.tokens, source.subset.resample) if source.subset else (None, False)
        return cls(0, tokens, resample, source.order == "shuffled")

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Reading:
        """The way back from `to_json`."""
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def same_as(self, other: Reading) -> bool:
        """Whether both read the same blocks in the same order, from whichever epoch on."""
        mine, others = self.to_json(), other.to_json()
        return all(mine[key] == others[key] for key in mine if key != "first_epoch")

    def text(self) -> str:
        """In words: "shuffled", "5,000 tokens of it, the same in every epoch, in file order"."""
        order = "shuffled" if self.shuffled else "in file order"
        if self.subset_tokens is None:
            return order
        which = "drawn anew for every epoch" if self.resample else "the same in every epoch"
        return f"{self.subset_tokens:,} tokens of it, {which}, {order}"

    def block_at(self, place: int, count: int, blocks: int, key: tuple[int, str, int], epoch: int) -> int:
        """The block that comes at a place of an epoch.

        Args:
            place: at least 0, below `count`.
            count: blocks of the generation that this epoch reads, of `blocks` in it.
            key: seed, source and generation.
        """
        if not self.shuffled:
            return place if count == blocks else self._block_of_stretch(place, count, blocks, key, epoch)
        if count == blocks or self.resample:
            return permutation(blocks, *key, epoch, "blocks")(place)
        return permutation(blocks, *key, "subset")(permutation(count, *key, epoch, "blocks")(place))

    def _block_of_stretch(self, place: int, count: int, blocks: int, key: tuple[int, str, int], epoch: int) -> int:
        first, stop = place * blocks // count, (place + 1) * blocks // count
        drawn = derive_key(*key, *([epoch] if self.resample else []), "stretch", place)
        return first + int.from_bytes(drawn[:8], "big") % (stop - first)


def blocks_chosen(wanted: int | None, blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Blocks that an epoch reads of each generation of these sizes: all of them, or `wanted`, divided by size."""
    there = sum(blocks)
    if wanted is None or wanted >= there:
        return blocks
    ends = [wanted * end // there for end in accumulate(blocks, initial=0)]
    return tuple(stop - start for start, stop in pairwise(ends))
