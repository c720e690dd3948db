"""The phases of a run on the token clock, its batches and its steps: pure functions of a config.

A batch belongs to the phase in which its first token lies, so a phase, and the run, ends at the first batch boundary
at or after its end. There are no partial batches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from megakor.config.controllers import Controllers, controllers_of
from megakor.config.ramp import Ramp, mean_shares, shares_of
from megakor.config.replay import replayed_sources, with_replay
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig
from megakor.config.schema_training import BatchRampConfig, LrConfig


@dataclass(frozen=True)
class PhaseSpan:
    """A phase with its place in the run: it covers the batches whose first token lies in [start, stop)."""

    index: int
    name: str
    start: int
    stop: int
    weights: Mapping[str, float]
    """Share of each source in tokens at the beginning; the sum is 1, and sources of weight zero are left out. Empty
    while it is not known: `unknown` says why."""
    sequence_length: int
    lr: LrConfig | None = None
    batch_tokens: int | None = None
    """Its own global batch."""
    ramp: Ramp | None = None
    """How the shares move from there. Default: they stay."""
    replayed: tuple[str, ...] = ()
    """Sources of general text, whose share together is the replay ratio."""
    rule: Mapping[str, Any] | None = None
    """The rule that the weights come from, with its settings."""
    unknown: str = ""
    """What has to be looked at before the weights are known: sizes of sources, a fitted file."""
    mask: str = "document"
    loss_mask_tokens: tuple[str, ...] = ()
    """Tokens, as written in the tokenizer, whose loss does not count."""
    rope_base: float = 10_000.0
    controllers: Controllers | None = None
    """What moves the shares on the way. Default: nothing."""

    @property
    def tokens(self) -> int:
        """Its length as planned."""
        return self.stop - self.start

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that it reads at some time."""
        ends = self.ramp.end if self.ramp else {}
        return (*self.weights, *(name for name in ends if name not in self.weights))

    def shares(self, start: int, stop: int) -> dict[str, float]:
        """Mean share of each source over tokens [start, stop) of the run; the sum is 1."""
        return mean_shares(self.weights, self.ramp, start, stop)

    def replay_ratio(self, start: int, stop: int) -> float:
        """Share of the replayed sources together over these tokens."""
        shares = self.shares(start, stop)
        return sum(shares.get(name, 0.0) for name in self.replayed)

    def describe(self) -> dict[str, Any]:
        """What decides the data of a batch in this phase, as JSON."""
        fields: dict[str, Any] = {
            "phase": self.name,
            "weights": dict(self.weights),
            "sequence_length": self.sequence_length,
        }
        if self.ramp is not None:
            fields["ramp"] = self.ramp.describe()
        if self.replayed:
            fields["replay"] = list(self.replayed)
        if self.rule is not None:
            fields["rule"] = dict(self.rule)
        if self.mask != "document":
            fields["mask"] = self.mask
        if self.loss_mask_tokens:
            fields["loss_mask_tokens"] = list(self.loss_mask_tokens)
        return fields

    @property
    def hash(self) -> str:
        """Stands for `describe()` in the ledger."""
        text = json.dumps(self.describe(), sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def phases_of(config: Config) -> tuple[PhaseSpan, ...]:
    """The phases in order. A last phase without tokens gets the rest; no phases at all mean one with equal weights.

    Weights that rest on sizes or on a fitted file are still missing here (`unknown`): `megakor.curriculum.schedule`
    fills them in.
    """
    spans: list[PhaseSpan] = []
    start = 0
    phases = config.data.phases or [PhaseConfig(weights=dict.fromkeys(config.data.sources, 1.0))]
    for index, phase in enumerate(phases):
        stop = max(config.train.tokens, start) if phase.tokens is None else start + phase.tokens
        spans.append(_span(config, index, phase, start, stop))
        start = stop
    return tuple(spans)


def _span(config: Config, index: int, phase: PhaseConfig, start: int, stop: int) -> PhaseSpan:
    unknown = _unknown(phase)
    replay = phase.replay
    begin: dict[str, float] = {}
    end: dict[str, float] = {}
    if not unknown:
        ratio = replay.ratio if replay else None
        final = replay.ratio_end if replay and replay.ratio_end is not None else ratio
        begin, end = ends_of(config, phase, phase.weights, ratio, final)
    return PhaseSpan(
        index,
        phase.name,
        start,
        stop,
        begin,
        phase.sequence_length or config.train.sequence_length,
        phase.lr,
        phase.global_batch_size,
        ramp_between(phase, begin, end, start, stop),
        replayed_sources(replay, config.data.sources),
        _rule(phase),
        unknown,
        phase.mask or config.data.mask,
        tuple(phase.loss_mask_tokens),
        phase.rope_base or config.model.rope_base,
        controllers_of(config, phase),
    )


def ends_of(
    config: Config, phase: PhaseConfig, weights: Mapping[str, float], ratio: float | None, final: float | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Shares at the beginning and at the end of a phase's ramp, from its weights and its replay ratio there."""
    after = weights if phase.weights_end is None else phase.weights_end
    replayed = replayed_sources(phase.replay, config.data.sources)
    if ratio is None or final is None or not replayed:
        return shares_of(weights), shares_of(after)
    return with_replay(weights, replayed, ratio), with_replay(after, replayed, final)


def ramp_between(
    phase: PhaseConfig, begin: Mapping[str, float], end: Mapping[str, float], start: int, stop: int
) -> Ramp | None:
    """The ramp of a phase that lies at [start, stop); None where nothing moves."""
    if begin == end:
        return None
    length = stop - start if phase.ramp_tokens is None else phase.ramp_tokens
    steps = phase.ramp_steps if phase.ramp == "step" else 2
    return Ramp(end, phase.ramp, start, start + length, steps)


def _unknown(phase: PhaseConfig) -> str:
    needs = ["the sizes of its sources"] if phase.rule != "weights" else []
    if phase.replay is not None and phase.replay.cmr is not None:
        needs.append(f"the fitted file {phase.replay.cmr}")
    return " and ".join(needs)


def _rule(phase: PhaseConfig) -> dict[str, Any] | None:
    """All settings that the weights of a rule depend on, but for the sizes."""
    settings = {"temperature": phase.temperature, "unimax": phase.max_epochs}
    if phase.rule not in settings:
        return None
    replay = asdict(phase.replay) if phase.replay else None
    if replay is not None:
        del replay["controller"]  # it moves shares later; those at the beginning do not depend on it
    return {"rule": phase.rule, "setting": settings[phase.rule], "sources": phase.sources, "replay": replay}


def sequence_lengths(config: Config) -> list[int]:
    """Every sequence length of the run, the shortest first."""
    return sorted({phase.sequence_length for phase in phases_of(config)})


def block_length(config: Config) -> int:
    """The unit of order: data.block_length, or the longest sequence of any phase."""
    return config.data.block_length or max(sequence_lengths(config))


def batch_tokens_at(tokens: int, full: int, ramp: BatchRampConfig | None) -> int:
    """Tokens of the global batch that starts at `tokens`: `full`, or less on a ramp, in multiples of its start."""
    if ramp is None or tokens >= ramp.over:
        return full
    grown = ramp.start + (full - ramp.start) * tokens // ramp.over
    return grown // ramp.start * ramp.start


@dataclass(frozen=True)
class PhaseSteps:
    """The steps of one phase."""

    phase: PhaseSpan
    steps: int
    tokens: int
    """Read in these steps: the phase's own length, rounded to whole batches."""
    start: int = 0
    """The first of them."""

    def shares(self) -> dict[str, float]:
        """Mean share of each source over these tokens."""
        return self.phase.shares(self.start, self.start + self.tokens)


def steps_of(config: Config) -> tuple[PhaseSteps, ...]:
    """Steps of every phase, counted without walking through those of the full batch size."""
    ramp = config.train.batch_ramp
    position, counted = 0, []
    for phase in phases_of(config):
        full = phase.batch_tokens or config.train.global_batch_size
        stop = min(phase.stop, config.train.tokens)
        begin, steps = position, 0
        while position < stop and (batch := batch_tokens_at(position, full, ramp)) < full:
            position += batch
            steps += 1
        whole = max(0, -(-(stop - position) // full))
        position += whole * full
        counted.append(PhaseSteps(phase, steps + whole, position - begin, begin))
    return tuple(counted)


def batch_ends(config: Config) -> Iterator[range]:
    """Where batches end, in tokens: one range for batches of one size that follow each other."""
    for counted in steps_of(config):
        full = counted.phase.batch_tokens or config.train.global_batch_size
        position, stop = counted.start, counted.start + counted.tokens
        while position < stop:
            batch = batch_tokens_at(position, full, config.train.batch_ramp)
            last = stop if batch == full else position + batch
            yield range(position + batch, last + 1, batch)
            position = last
