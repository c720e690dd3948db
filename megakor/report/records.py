"""What the loop reports: one record a training step, one a validation source and evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SourceProgress:
    """Where one source of the mixture stands after a step."""

    language: str
    batch_tokens: int
    """Its tokens in this batch."""
    tokens: int
    """Its tokens since the start of the run."""
    epoch: float
    """Passes over it: 1.25 is a quarter into the second."""
    intended: float
    """The share that the schedule gives it now, 0 to 1."""


@dataclass(frozen=True)
class ReplayProgress:
    """Shares of general text, 0 to 1, where a phase replays it."""

    intended: float
    """Of this batch, by the schedule."""
    realised: float
    """Of this batch."""
    realised_in_phase: float
    """Of everything that has been read under the phase's schedule."""


@dataclass(frozen=True)
class TrainRecord:
    """One training step. The Reporter fills in the last three fields."""

    step: int
    tokens: int
    """Consumed when the step is over."""
    loss: float
    """Mean over the tokens of the global batch that count, in nats."""
    lr: float
    grad_norm: float
    """Before clipping."""
    batch_tokens: int
    seconds: float
    sequence_length: int
    phase: str = "main"
    attention_span: float | None = None
    """Mean length of the segment that a token lies in, where attention stops at documents. Default: the whole row."""
    skipped: bool = False
    """The batch was consumed but the weights were not changed."""
    loss_score: float | None = None
    """How many robust standard deviations the loss lies above those of the latest steps; None for too few of them."""
    gradient_score: float | None = None
    """The same of the gradient norm."""
    sources: dict[str, SourceProgress] = field(default_factory=dict)
    replay: ReplayProgress | None = None
    mfu: float | None = None
    host_peak_bytes: int | None = None
    device_peak_bytes: int | None = None

    @property
    def tokens_per_second(self) -> float:
        """Of the whole cluster."""
        return self.batch_tokens / self.seconds

    def shares(self) -> dict[str, float]:
        """Source -> its share of this batch's tokens."""
        return {name: source.batch_tokens / self.batch_tokens for name, source in self.sources.items()}

    def language_shares(self) -> dict[str, float]:
        """Language -> its share of this batch's tokens."""
        shares: dict[str, float] = {}
        for name, share in self.shares().items():
            language = self.sources[name].language
            shares[language] = shares.get(language, 0.0) + share
        return shares

    def line(self) -> dict[str, Any]:
        """The record as metrics.jsonl has it."""
        fields = {key: value for key, value in asdict(self).items() if value is not None}
        return {"kind": "train", **fields, "tokens_per_second": self.tokens_per_second}


@dataclass(frozen=True)
class ValidationRecord:
    """The loss on one validation source, with the weights as they are after `step`."""

    step: int
    tokens: int
    """Consumed in training so far; 0 before the first step."""
    source: str
    language: str
    loss: float
    """Mean over the evaluated tokens, in nats."""
    evaluated_tokens: int
    evaluated_bytes: int
    """UTF-8 bytes that the evaluated tokens stand for."""

    @property
    def bits_per_byte(self) -> float:
        """The loss in a unit that does not depend on the tokenizer; not a number without bytes."""
        if not self.evaluated_bytes:
            return math.nan
        return self.loss * self.evaluated_tokens / (math.log(2) * self.evaluated_bytes)

    def line(self) -> dict[str, Any]:
        """The record as metrics.jsonl has it."""
        return {"kind": "validation", **asdict(self), "bits_per_byte": self.bits_per_byte}

    @classmethod
    def from_line(cls, line: dict[str, Any]) -> ValidationRecord:
        """The way back from `line`."""
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})


def evaluations(lines: Iterable[dict[str, Any]]) -> dict[int, list[ValidationRecord]]:
    """Tokens consumed -> the records of the evaluation made there, in order, from lines of metrics.jsonl."""
    found: dict[int, list[ValidationRecord]] = {}
    for line in lines:
        if line["kind"] == "validation":
            found.setdefault(line["tokens"], []).append(ValidationRecord.from_line(line))
    return dict(sorted(found.items()))


def by_language(records: Iterable[ValidationRecord]) -> dict[str, ValidationRecord]:
    """One record a language for one evaluation: the mean over its sources, each token counting once.

    `source` of the result names the sources joined by "+".
    """
    grouped: dict[str, list[ValidationRecord]] = {}
    for record in records:
        grouped.setdefault(record.language, []).append(record)
    return {language: _mean(group) for language, group in grouped.items()}


def _mean(group: list[ValidationRecord]) -> ValidationRecord:
    tokens = sum(record.evaluated_tokens for record in group)
    nats = sum(record.loss * record.evaluated_tokens for record in group)
    return ValidationRecord(
        step=group[0].step,
        tokens=group[0].tokens,
        source="+".join(record.source for record in group),
        language=group[0].language,
        loss=group[0].loss if len(group) == 1 else nats / max(tokens, 1),
        evaluated_tokens=tokens,
        evaluated_bytes=sum(record.evaluated_bytes for record in group),
    )
