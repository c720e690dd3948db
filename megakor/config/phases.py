"""The phases of a run on the token clock, its batches and its steps: pure functions of a config.

A batch belongs to the phase in which its first token lies, so a phase, and the run, ends at the first batch boundary
at or after its end. There are no partial batches.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from megakor.config.schema import BatchRampConfig, Config, LrConfig, PhaseConfig


@dataclass(frozen=True)
class PhaseSpan:
    """A phase with its place in the run: it covers the batches whose first token lies in [start, stop)."""

    index: int
    name: str
    start: int
    stop: int
    weights: Mapping[str, float]
    """Share of each source in tokens; the sum is 1, and sources of weight zero are left out."""
    sequence_length: int
    lr: LrConfig | None = None
    mask: str = "document"
    loss_mask_tokens: tuple[str, ...] = ()
    """Tokens, as written in the tokenizer, whose loss does not count."""
    rope_base: float = 10_000.0

    @property
    def tokens(self) -> int:
        """Its length as planned."""
        return self.stop - self.start

    def describe(self) -> dict[str, Any]:
        """What decides the data of a batch in this phase, as JSON."""
        fields: dict[str, Any] = {
            "phase": self.name,
            "weights": dict(self.weights),
            "sequence_length": self.sequence_length,
        }
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
    """The phases in order. A last phase without tokens gets the rest; no phases at all mean one with equal weights."""
    spans: list[PhaseSpan] = []
    start = 0
    phases = config.data.phases or [PhaseConfig(weights=dict.fromkeys(config.data.sources, 1.0))]
    for index, phase in enumerate(phases):
        stop = max(config.train.tokens, start) if phase.tokens is None else start + phase.tokens
        length = phase.sequence_length or config.train.sequence_length
        own = {
            "mask": phase.mask or config.data.mask,
            "loss_mask_tokens": tuple(phase.loss_mask_tokens),
            "rope_base": phase.rope_base or config.model.rope_base,
        }
        spans.append(PhaseSpan(index, phase.name, start, stop, _shares(phase.weights), length, phase.lr, **own))
        start = stop
    return tuple(spans)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}


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


def steps_of(config: Config) -> tuple[PhaseSteps, ...]:
    """Steps of every phase, counted without walking through those of the full batch size."""
    full, ramp = config.train.global_batch_size, config.train.batch_ramp
    position, counted = 0, []
    for phase in phases_of(config):
        stop = min(phase.stop, config.train.tokens)
        begin, steps = position, 0
        while position < stop and (batch := batch_tokens_at(position, full, ramp)) < full:
            position += batch
            steps += 1
        whole = max(0, -(-(stop - position) // full))
        position += whole * full
        counted.append(PhaseSteps(phase, steps + whole, position - begin))
    return tuple(counted)
