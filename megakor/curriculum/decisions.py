"""What controllers have seen and decided in a run, as its checkpoints keep it.

Decisions are kept with everything that they were made on. A resume takes them from the checkpoint and makes none anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from megakor.config.ramp import shares_of
from megakor.curriculum.schedule import Schedule


@dataclass(frozen=True)
class Decision:
    """A change of shares that holds from token `tokens` of the run on."""

    tokens: int
    phase: str
    start: int
    """Where its phase begins, as planned."""
    controller: str
    """replay or reweighting."""
    losses: Mapping[str, float]
    """Of the validation sets that it was made on."""
    reference: Mapping[str, float]
    """What they were compared with."""
    before: Mapping[str, float]
    after: Mapping[str, float]
    """Shares of all sources."""
    why: str
    """In words."""


@dataclass(frozen=True)
class Memory:
    """What has been seen so far. Its losses are in nats per token, by validation set."""

    tokens: int = -1
    """Of the latest evaluation."""
    run: Mapping[str, float] | None = None
    """Losses at the start of the run; None where they are not known."""
    start: int | None = None
    """Of the phase that the rest is about: the latest one with controllers, as planned."""
    first: Mapping[str, float] | None = None
    """Losses at its start."""
    latest: Mapping[str, float] | None = None
    """Losses at its latest reweighting, or at its start."""
    calm: int = 0
    """See `megakor.curriculum.replay_controller.Turn`."""
    decisions: tuple[Decision, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Memory:
        """With other names of sources; those that `names` does not hold stay."""

        def mapped(values: Mapping[str, float] | None) -> Any:
            return None if values is None else {names.get(name, name): value for name, value in values.items()}

        fields = ("losses", "reference", "before", "after")
        decisions = [replace(one, **{key: mapped(getattr(one, key)) for key in fields}) for one in self.decisions]
        losses = {key: mapped(getattr(self, key)) for key in ("run", "first", "latest")}
        return replace(self, **losses, decisions=tuple(decisions))

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**asdict(self), "decisions": [asdict(decision) for decision in self.decisions]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Memory:
        """The way back from `to_json`."""
        return cls(**{**fields, "decisions": tuple(Decision(**decision) for decision in fields["decisions"])})


def followed(schedule: Schedule, decisions: Iterable[Decision], sources: Collection[str]) -> Schedule:
    """The schedule as it has become: planned, then changed by decisions.

    A decision speaks of the phase that it was made in. It changes no other one that begins there later, and none that
    is not steered any more. Of a source that is gone from the config nothing is left in it.

    Args:
        sources: those of the config.
    """
    for decision in decisions:
        span = schedule.phase_at(decision.tokens)
        if span.controllers is not None and schedule.planned(span).start == decision.start:
            kept = {name: share for name, share in decision.after.items() if name in sources}
            shares = kept if len(kept) == len(decision.after) else shares_of(kept)
            schedule = schedule.with_weights(decision.tokens, shares)
    return schedule
