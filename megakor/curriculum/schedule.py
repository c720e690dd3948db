"""The schedule of a run: pure functions of the tokens consumed so far. Nothing here depends on the world size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace

from megakor.config.phases import PhaseSpan, batch_tokens_at, phases_of
from megakor.config.schema import Config
from megakor.config.schema_training import BatchRampConfig
from megakor.curriculum.resolve import Known, resolve


@dataclass(frozen=True)
class Schedule:
    """Phases and batch sizes on the token clock (`megakor.config.phases` says how they are laid out).

    A phase that is steered has a part for each mixture that it has had, all with its index.
    """

    phases: tuple[PhaseSpan, ...]
    total_tokens: int
    global_batch_tokens: int
    batch_ramp: BatchRampConfig | None = None

    @classmethod
    def compile(cls, config: Config, known: Known | None = None) -> Schedule:
        """The schedule of a config that has passed `megakor.config.check`, where what cannot work is explained.

        Raises:
            ConfigError: a rule cannot be met with the sizes of the sources.
        """
        train, sources = config.train, config.data.sources.keys()
        phases = tuple(resolve(config, span, known or Known()) for span in phases_of(config))
        assert phases[-1].stop >= train.tokens, "the phases do not cover the budget"
        for phase in phases:
            assert phase.weights and phase.weights.keys() <= sources, f"sources of {phase.name}"
            assert phase.ramp is None or phase.ramp.end.keys() <= sources, f"sources of {phase.name}"
            batch = phase.batch_tokens or train.global_batch_size
            assert batch % phase.sequence_length == 0, f"a batch of {phase.name} is not whole rows"
        return cls(phases, train.tokens, train.global_batch_size, train.batch_ramp)

    def phase_at(self, tokens: int) -> PhaseSpan:
        """The phase of a batch whose first token is the run's token number `tokens`."""
        return self.phases[self._place_of(tokens)]

    def _place_of(self, tokens: int) -> int:
        return max(0, bisect_right(self.phases, tokens, key=lambda span: span.start) - 1)

    def phases_between(self, start: int, stop: int) -> list[PhaseSpan]:
        """The phases that hold a token of [start, stop)."""
        return list(self.phases[self._place_of(start) : self._place_of(max(start, stop - 1)) + 1])

    def planned(self, span: PhaseSpan) -> PhaseSpan:
        """The beginning of the phase that `span` is a part of, as it was planned."""
        return next(part for part in self.phases if part.index == span.index)

    def with_weights(self, tokens: int, weights: Mapping[str, float]) -> Schedule:
        """With other shares from token `tokens` on, to the end of its phase, which is two parts then."""
        place = self._place_of(tokens)
        span = self.phases[place]
        begun = (replace(span, stop=tokens),) if tokens > span.start else ()
        parts = (*begun, replace(span, start=tokens, stop=max(tokens, span.stop), weights=weights))
        return replace(self, phases=(*self.phases[:place], *parts, *self.phases[place + 1 :]))

    def full_batch_at(self, tokens: int) -> int:
        """Size in tokens of the global batches of the phase here."""
        return self.phase_at(tokens).batch_tokens or self.global_batch_tokens

    def batch_tokens_at(self, tokens: int) -> int:
        """Size in tokens of the global batch that starts here; smaller where batches still grow."""
        return batch_tokens_at(tokens, self.full_batch_at(tokens), self.batch_ramp)

    @property
    def longest_sequence(self) -> int:
        """In tokens, over all phases."""
        return max(span.sequence_length for span in self.phases)
