"""Small worlds for tests of the data: virtual sources, real shards, and a witness of what was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.config.schema_training import BatchRampConfig
from megakor.corpus.shard import ShardHeader, ShardReader
from megakor.corpus.shard_writer import ShardWriter
from megakor.curriculum.schedule import Schedule
from megakor.data.order import Row, pieces_of
from megakor.data.source import Generation, Source
from megakor.data.sources import Sources, collect_sources
from megakor.data.stream import BatchPlan, TokenStream

BLOCK = 16


def virtual_shard(name: str, tokens: int) -> ShardReader:
    """A shard without files: enough for everything but reading tokens."""
    header = ShardHeader(Path("/virtual") / name, "<u2", tokens, 1, 1, f"{name}:{tokens}")
    return ShardReader(header.prefix, header)


def virtual_source(
    name: str, shards: Sequence[int], epochs: float | None = None, seed: int = 7, content: str | None = None
) -> Source:
    """A source of shards with these many tokens; `content` is its identity where the name differs from it."""
    readers = tuple(virtual_shard(f"{content or name}-{index}", tokens) for index, tokens in enumerate(shards))
    return Source(name, name[:2], (), epochs, (Generation(readers, BLOCK),), seed)


def world(*sources: Source) -> Sources:
    return collect_sources(list(sources), sources[0].seed, sources[0].block_length)


def schedule_of(
    sources: Sources,
    phases: Sequence[PhaseConfig],
    total: int = 1_000_000,
    batch: int = 64,
    length: int = BLOCK,
    ramp: BatchRampConfig | None = None,
) -> Schedule:
    config = Config()
    config.data.sources = {source.name: SourceConfig() for source in sources}
    config.data.phases = list(phases)
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = total, batch, length
    config.train.batch_ramp = ramp
    return Schedule.compile(config)


def write_shard(prefix: Path, documents: Sequence[Sequence[int]], dtype: str = "uint16") -> ShardReader:
    with ShardWriter(prefix, np.dtype(dtype)) as writer:
        for document in documents:
            writer.add_document(list(document))
    return ShardReader(prefix)


class Witness:
    """Sees every row and fails when a token is read twice within an epoch; `check_complete` fails if one was lost."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, int, int], np.ndarray] = {}
        self.order: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        self.tokens = 0

    def see(self, sources: Sources, plan: BatchPlan) -> None:
        assert sorted(plan.rows) == sorted(row for rows in plan.taken.values() for row in rows)
        for source_id, rows in plan.taken.items():
            for row in rows:
                self._see_row(sources.by_id[source_id], row)

    def _see_row(self, source: Source, row: Row) -> None:
        generation = source.generations[row.at.generation]
        key = (source.id, row.at.epoch, row.at.generation)
        seen = self.seen.setdefault(key, np.zeros(generation.blocks * BLOCK, bool))
        pieces = pieces_of(source, row)
        assert sum(piece.length for piece in pieces) == row.tokens
        for piece in pieces:
            first = generation.first_blocks[generation.shards.index(piece.shard)] * BLOCK + piece.start
            assert piece.start + piece.length < piece.shard.tokens, "the label of the last token must exist"
            assert not seen[first : first + piece.length].any(), f"{key}: read twice"
            seen[first : first + piece.length] = True
            self.order[source.id].append((str(piece.shard.prefix), piece.start, piece.length))
        self.tokens += row.tokens

    def check_complete(self, stream: TokenStream) -> None:
        """Every epoch that a source has left behind was read wholly, and the clock counts what was seen."""
        assert self.tokens == stream.tokens_consumed
        for (source_id, epoch, generation), seen in self.seen.items():
            if source_id in stream.cursors:
                at = stream.cursors[source_id]
                if (epoch, generation) < (at.epoch, at.generation):
                    assert seen.all(), f"{source_id} epoch {epoch} generation {generation}: tokens were lost"
                else:
                    assert seen.sum() == at.first * BLOCK + at.offset
