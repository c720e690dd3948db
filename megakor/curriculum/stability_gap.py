"""The stability gap: how far a score falls below its beginning in continued pretraining, and when it comes back.

Guo et al., "Efficient Continual Pre-training by Mitigating the Stability Gap", arXiv 2406.14833: the score of a run on
a new domain first falls and then recovers. Their curves are summed up here by three numbers, computed while a run goes
on: depth, length and final gain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Gap:
    """One score from its first evaluation on, as far as it has been measured. Everything is in the unit of the score;
    places are tokens consumed."""

    higher_is_better: bool
    """An accuracy; not so a loss."""
    first_tokens: int
    first: float
    """The score of the model that the run begins with."""
    worst_tokens: int
    worst: float
    recovered_tokens: int | None
    """The first evaluation after the worst one that is as good as the first; None before it, and without a dip."""
    last_tokens: int
    last: float

    @classmethod
    def begin(cls, tokens: int, score: float, higher_is_better: bool) -> Gap:
        """A score that has been measured once."""
        return cls(higher_is_better, tokens, score, tokens, score, None, tokens, score)

    @classmethod
    def of_curve(cls, points: Iterable[tuple[int, float]], higher_is_better: bool) -> Gap:
        """From (tokens, score) by rising tokens; at least one."""
        (tokens, score), *later = points
        gap = cls.begin(tokens, score, higher_is_better)
        for tokens, score in later:
            gap = gap.after(tokens, score)
        return gap

    def after(self, tokens: int, score: float) -> Gap:
        """With one more evaluation."""
        known = replace(self, last_tokens=tokens, last=score)
        if self._loss(score) > self._loss(self.worst):
            return replace(known, worst_tokens=tokens, worst=score, recovered_tokens=None)
        if self.depth > 0 and self.recovered_tokens is None and self._loss(score) <= self._loss(self.first):
            return replace(known, recovered_tokens=tokens)
        return known

    @property
    def depth(self) -> float:
        """The first score minus the worst one (for a loss the other way round): 0 without a dip."""
        return self._loss(self.worst) - self._loss(self.first)

    @property
    def length(self) -> int | None:
        """Tokens from the first evaluation to the recovery: 0 without a dip, None while the score has not recovered."""
        if self.depth == 0:
            return 0
        return None if self.recovered_tokens is None else self.recovered_tokens - self.first_tokens

    @property
    def final_gain(self) -> float:
        """How much better the last score is than the first; below 0 it is worse."""
        return self._loss(self.first) - self._loss(self.last)

    @property
    def in_dip(self) -> bool:
        """Whether the score is worse now than it was at first."""
        return self.final_gain < 0

    def _loss(self, score: float) -> float:
        return -score if self.higher_is_better else score

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Gap:
        """The way back from `to_json`."""
        return cls(**fields)
