"""The consumed part of the schedule: what each range of the token clock was read under. Kept in every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from megakor.config.phases import PhaseSpan
from megakor.config.ramp import Ramp, mean_shares


@dataclass
class PastPhase:
    """Batches that were read alike. `first` and `last` are the first tokens of the first and the last of them.

    Sources are named by their ids, because names may change: in `weights` (those at the beginning of the phase), in the
    `ramp` that they moved along, in `replayed` (general text), and in `read`, the tokens of each in these batches.
    `rule` is what the weights were computed by.
    """

    name: str
    first: int
    last: int
    weights: dict[str, float]
    sequence_length: int
    ramp: Ramp | None = None
    rule: dict[str, Any] | None = None
    replayed: tuple[str, ...] = ()
    read: dict[str, int] = field(default_factory=dict)
    mask: str | None = None
    """None in checkpoints of runs that did not write it down."""
    loss_mask_tokens: tuple[str, ...] | None = None

    def shares(self, start: int, stop: int) -> dict[str, float]:
        """Mean share of each source over tokens [start, stop) of the run, as it was scheduled."""
        return mean_shares(self.weights, self.ramp, start, stop)

    def as_schedule(self) -> tuple[object, ...]:
        """What makes batches alike."""
        mixture = (self.weights, self.ramp, self.rule, self.replayed)
        return (self.name, self.sequence_length, self.mask, self.loss_mask_tokens, *mixture)

    def to_json(self) -> dict[str, Any]:
        """As plain values; what a plain phase has not is left out."""
        fields = asdict(self) | {
            "ramp": self.ramp.describe() if self.ramp else None,
            "replayed": list(self.replayed) or None,
            "loss_mask_tokens": None if self.loss_mask_tokens is None else list(self.loss_mask_tokens),
        }
        return {key: value for key, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PastPhase:
        """The way back from `to_json`."""
        ramp = Ramp.from_description(fields["ramp"]) if "ramp" in fields else None
        unlearnt = tuple(fields["loss_mask_tokens"]) if "loss_mask_tokens" in fields else None
        replayed = tuple(fields.get("replayed", ()))
        return cls(**{**fields, "ramp": ramp, "replayed": replayed, "loss_mask_tokens": unlearnt})


@dataclass
class History:
    """The past of a run as stretches that were read alike."""

    phases: list[PastPhase] = field(default_factory=list)

    def add(self, start: int, phase: PhaseSpan, ids: Mapping[str, str], given: Mapping[str, int]) -> None:
        """Book the batch that starts at token `start`.

        Args:
            ids: of the sources, by their names.
            given: tokens of the batch by source id.
        """
        now = _as_past(start, phase, ids)
        if not self.phases or self.phases[-1].as_schedule() != now.as_schedule():
            self.phases.append(now)
        latest = self.phases[-1]
        latest.last = start
        for source_id, tokens in given.items():
            latest.read[source_id] = latest.read.get(source_id, 0) + tokens

    def replayed_share(self) -> float | None:
        """Share of general text in the latest stretch; None where it replays nothing."""
        latest = self.phases[-1]
        total = sum(latest.read.values())
        if not latest.replayed or not total:
            return None
        return sum(latest.read.get(source_id, 0) for source_id in latest.replayed) / total

    def stretches(self, consumed: int) -> list[tuple[PastPhase, int]]:
        """Every past phase with the token at which its last batch ended."""
        ends = [*(phase.first for phase in self.phases[1:]), consumed]
        return list(zip(self.phases, ends, strict=False))

    def source_ids(self) -> set[str]:
        """Every source that has been in the mixture."""
        ends = {source_id for phase in self.phases if phase.ramp for source_id in phase.ramp.end}
        return ends | {source_id for phase in self.phases for source_id in phase.weights}

    def to_json(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [phase.to_json() for phase in self.phases]

    @classmethod
    def from_json(cls, phases: list[dict[str, Any]]) -> History:
        """The way back from `to_json`."""
        return cls([PastPhase.from_json(phase) for phase in phases])


def _as_past(start: int, phase: PhaseSpan, ids: Mapping[str, str]) -> PastPhase:
    def renamed(weights: Mapping[str, float]) -> dict[str, float]:
        return {ids[name]: weight for name, weight in weights.items()}

    ramp = replace(phase.ramp, end=renamed(phase.ramp.end)) if phase.ramp else None
    replayed = tuple(ids[name] for name in phase.replayed)
    rule = dict(phase.rule) if phase.rule else None
    return PastPhase(
        phase.name,
        start,
        start,
        renamed(phase.weights),
        phase.sequence_length,
        ramp,
        rule,
        replayed,
        mask=phase.mask,
        loss_mask_tokens=phase.loss_mask_tokens,
    )
