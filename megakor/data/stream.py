"""The stream of global batches: which rows are read next, from exact state, the same on every rank.

Planning a batch touches no file, so every rank plans all of it and reads only its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from megakor.config.phases import PhaseSpan
from megakor.curriculum.schedule import Schedule
from megakor.data.exhaustion import check_caps
from megakor.data.history import History
from megakor.data.mixture import SHARE, Mixture, Quotas, quantised
from megakor.data.order import Cursor, Row, beginning, next_row, rows_left
from megakor.data.permutation import ORDER_VERSION, Permutation, derive_key
from megakor.data.source import Source
from megakor.data.sources import Sources
from megakor.data.steering import Steering
from megakor.errors import ConfigError

STATE_VERSION = 1


@dataclass(frozen=True)
class BatchPlan:
    """One global batch.

    `rows` are in batch order (a seeded shuffle), `taken` holds the same rows by source id in reading order. `start` is
    the run's number of the first token; `tokens` counts real tokens, without padding. `realised` and `intended` are
    tokens by source name, and `scheduled` are the shares of the schedule, before those of closed sources went to the
    others. `replayed` is the share of general text among the tokens that were read like this batch, up to it; None
    where the phase replays nothing. A skipped batch is consumed but not trained on.
    """

    rows: tuple[Row, ...]
    taken: Mapping[str, tuple[Row, ...]]
    start: int
    tokens: int
    phase: PhaseSpan
    realised: Mapping[str, int]
    intended: Mapping[str, float]
    scheduled: Mapping[str, float]
    replayed: float | None = None
    skipped: bool = False

    @property
    def sequence_length(self) -> int:
        """Tokens in a row."""
        return self.phase.sequence_length

    @property
    def stop(self) -> int:
        """The run's number of the token after the batch."""
        return self.start + self.tokens


@dataclass
class Counters:
    """Tokens that a source has given: trained on, and consumed without training."""

    read: int = 0
    skipped: int = 0


class TokenStream:
    """Plans global batches from sources under a schedule.

    Args:
        sources: what is read, and the seed and block length of its order.
        schedule: phases and batch sizes on the token clock.
        window_blocks: blocks in a window, for sequences shorter than a block; windows already open keep their size.

    Raises:
        ConfigError: the block length is not a multiple of a sequence length.
    """

    def __init__(self, sources: Sources, schedule: Schedule, window_blocks: int) -> None:
        _check_lengths(schedule, sources)
        self.sources = sources
        self._means = {source.id: source.mean_row for source in sources if source.row_tokens}
        self._ending = {source.id: source for source in sources if source.exhausted != "redistribute"}
        self.steering = Steering(schedule, sources)
        self.window_blocks = window_blocks
        self.tokens_consumed = 0
        self.history = History()
        self.mixture = Mixture()
        self.cursors = {source.id: beginning(source) for source in sources}
        self.counters = {source.id: Counters() for source in sources}
        self.dropped_sources: dict[str, dict[str, Any]] = {}

    @property
    def schedule(self) -> Schedule:
        """The one in force: what controllers have changed included."""
        return self.steering.schedule

    @property
    def controllers(self) -> dict[str, str]:
        """Settings of those of the next batch, for people."""
        controllers = self.schedule.phase_at(self.tokens_consumed).controllers
        return controllers.words() if controllers is not None else {}

    def next_batch(self, skip: bool = False) -> BatchPlan:
        """Plan the next global batch and move past it.

        Raises:
            DataExhaustedError: the open sources cannot fill the batch, or one of them has reached a cap that ends the
                run; the stream has not moved.
        """
        start = self.tokens_consumed
        phase = self.schedule.phase_at(start)
        planned = self.schedule.batch_tokens_at(start)
        rows = planned // phase.sequence_length
        weights = self._weights(phase, start, start + planned)
        left = self._rows_left(phase.sequence_length)
        check_caps(self._ending, self.mixture, weights, rows, phase.sequence_length, left, self._means)
        quotas = self.mixture.plan(weights, rows, phase.sequence_length, left, self._means, self._ending)
        taken = {source: self._take(source, count, phase.sequence_length) for source, count in quotas.rows.items()}
        given = {source: sum(row.tokens for row in rows_taken) for source, rows_taken in taken.items()}
        tokens = sum(given.values())
        if tokens != planned and phase.ramp is not None:
            # Padding and the ends of windows make a batch shorter: the ramp has come less far.
            passed = self._weights(phase, start, start + tokens)
            quotas = replace(quotas, shares=quantised({source: passed[source] for source in quotas.shares}))
        self.mixture.settle(quotas.shares, given)
        self._count(given, skip)
        self.history.add(start, phase, {source.name: source.id for source in self.sources}, given)
        self.tokens_consumed += tokens
        return self._plan(start, phase, quotas, taken, given, skip)

    def leave_untrained(self, plan: BatchPlan) -> BatchPlan:
        """The latest batch was to be trained on, and no update came of it: it counts as skipped."""
        for source_id, rows in plan.taken.items():
            tokens = sum(row.tokens for row in rows)
            self.counters[source_id].read -= tokens
            self.counters[source_id].skipped += tokens
        return replace(plan, skipped=True)

    def state_dict(self) -> dict[str, Any]:
        """The exact state as JSON; see `megakor.data.editing.resume` for its way back."""
        sources = {**self.dropped_sources, **{source.id: self._source_state(source) for source in self.sources}}
        return {
            "version": STATE_VERSION,
            "order_version": ORDER_VERSION,
            "seed": self.sources.seed,
            "block_length": self.sources.block_length,
            "window_blocks": self.window_blocks,
            "tokens": self.tokens_consumed,
            "total_tokens": self.schedule.total_tokens,
            "global_batch_tokens": self.schedule.full_batch_at(self.tokens_consumed),
            "history": self.history.to_json(),
            "steering": self.steering.state_dict(),
            "controllers": self.controllers,
            "sources": {source_id: {**kept, **self._carry_state(source_id)} for source_id, kept in sources.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state of this very stream: the same sources in the same generations.

        Sources that the state knows and the stream does not are kept as dropped ones.
        """
        self.tokens_consumed = state["tokens"]
        self.history = History.from_json(state["history"])
        self.steering.load_state_dict(state.get("steering"))
        self.dropped_sources = {}
        self.mixture = Mixture()
        for source_id, kept in state["sources"].items():
            if kept["carry"] is not None:
                self.mixture.carries[source_id] = kept["carry"]
            self.mixture.dropped[source_id] = kept["dropped_carry"]
            if source_id in self.sources.by_id:
                self.cursors[source_id] = Cursor(*kept["cursor"])
                self.counters[source_id] = Counters(kept["read"], kept["skipped"])
            elif source_id in self.history.source_ids():
                self.dropped_sources[source_id] = kept

    def _rows_left(self, length: int) -> dict[str, int | None]:
        return {source.id: rows_left(source, self.cursors[source.id], length) for source in self.sources}

    def _weights(self, phase: PhaseSpan, start: int, stop: int) -> dict[str, float]:
        """Scheduled share of every source by its id, over these tokens of the run."""
        shares = phase.shares(start, stop)
        return {source.id: shares.get(source.name, 0.0) for source in self.sources}

    def _take(self, source_id: str, count: int, length: int) -> tuple[Row, ...]:
        source, cursor = self.sources.by_id[source_id], self.cursors[source_id]
        rows = []
        for _ in range(count):
            row, cursor = next_row(source, cursor, length, self.window_blocks)
            rows.append(row)
        self.cursors[source_id] = cursor
        return tuple(rows)

    def _count(self, given: Mapping[str, int], skip: bool) -> None:
        for source_id, tokens in given.items():
            counters = self.counters[source_id]
            if skip:
                counters.skipped += tokens
            else:
                counters.read += tokens

    def _plan(
        self,
        start: int,
        phase: PhaseSpan,
        quotas: Quotas,
        taken: Mapping[str, tuple[Row, ...]],
        given: Mapping[str, int],
        skip: bool,
    ) -> BatchPlan:
        ordered = [row for source_id in sorted(taken) for row in taken[source_id]]
        shuffle = Permutation(len(ordered), derive_key(self.sources.seed, "batch", start)).all()
        tokens = sum(given.values())
        names = {source.id: source.name for source in self.sources}
        realised = {names[source_id]: count for source_id, count in given.items()}
        intended = {names[source_id]: tokens * share / SHARE for source_id, share in quotas.shares.items()}
        rows = tuple(ordered[index] for index in shuffle)
        scheduled, replayed = phase.shares(start, start + tokens), self.history.replayed_share()
        return BatchPlan(rows, taken, start, tokens, phase, realised, intended, scheduled, replayed, skip)

    def _source_state(self, source: Source) -> dict[str, Any]:
        return {
            "name": source.name,
            "language": source.language,
            "epochs": source.epochs,
            "readings": [reading.to_json() for reading in source.readings],
            "generations": [[shard.fingerprint() for shard in group.shards] for group in source.generations],
            "cursor": list(self.cursors[source.id]),
            **asdict(self.counters[source.id]),
        }

    def _carry_state(self, source_id: str) -> dict[str, int | None]:
        """Of dropped sources too: their carry goes to the others when the next batch is planned."""
        mixture = self.mixture
        return {"carry": mixture.carries.get(source_id), "dropped_carry": mixture.dropped.get(source_id, 0)}


def _check_lengths(schedule: Schedule, sources: Sources) -> None:
    block_length = sources.block_length
    for span in schedule.phases:
        for source in sources:
            if source.row_tokens not in (None, span.sequence_length) and source.name in span.sources:
                raise ConfigError(
                    f"phase '{span.name}': its sequence length is {span.sequence_length:,}, but the source "
                    f"'{source.name}' has rows of {source.row_tokens:,} tokens, which are read whole. Set the phase's "
                    f"sequence_length to {source.row_tokens}, or regroup with --row-tokens {span.sequence_length}."
                )
        if block_length % span.sequence_length:
            raise ConfigError(
                f"phase '{span.name}': the block length {block_length:,} is not a multiple of the sequence length "
                f"{span.sequence_length:,}. The block length is data.block_length, or the longest sequence of the run "
                "when it started; it cannot change after that."
            )
