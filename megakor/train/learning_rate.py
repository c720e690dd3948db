"""The learning rate: a pure function of tokens consumed.

A segment is a stretch of the run with one schedule: the run itself, or a phase that has an `lr` of its own. Inside a
segment the rate warms up linearly, then stays or decays:

    constant  warm up, then stay at the peak
    linear    warm up, then fall to the minimum at the end of the segment
    cosine    the same, along half a cosine
    wsd       warm up, stay at the peak, decay over the last `decay` tokens (MiniCPM, arXiv 2404.06395)

Nothing is remembered between steps, so a changed setting takes effect at once when a run is resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from megakor.config.check_rates import decay_tokens
from megakor.config.phases import PhaseSpan
from megakor.config.schema import Config
from megakor.config.schema_training import LrConfig
from megakor.errors import ConfigError

DECAY_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda x: 1.0 - x,
    "cosine": lambda x: 0.5 * (1.0 + math.cos(math.pi * x)),
    # A plain exponential never reaches 0: this one, as in megatron-core, is shifted and scaled to end there.
    "exponential": lambda x: 2.0 * 0.5**x - 1.0,
    # YuLan-Mini, arXiv 2412.17743.
    "1-sqrt": lambda x: 1.0 - math.sqrt(x),
}
"""Share of (peak - minimum) that is left when the share x in [0, 1] of a decay has passed: 1 at 0, 0 at 1."""

SCHEDULES = ("constant", "linear", "cosine", "wsd")


def learning_rate_at(config: LrConfig, tokens: int, segment_tokens: int) -> float:
    """The rate when `tokens` of a segment of `segment_tokens` have been consumed.

    At 0 it is `start` (`peak` without a warm-up), at the end of the warm-up `peak`, and from the end of the segment on
    `minimum` (`peak` for a constant schedule).
    """
    if tokens < config.warmup:
        return config.start + (config.peak - config.start) * (tokens / config.warmup)
    if config.schedule == "constant":
        return config.peak
    if tokens >= segment_tokens:
        return config.minimum
    length = _decay_length(config, segment_tokens)
    decayed = tokens - (segment_tokens - length)
    if decayed <= 0:
        return config.peak
    shape = DECAY_SHAPES[config.decay_shape if config.schedule == "wsd" else config.schedule]
    return config.minimum + (config.peak - config.minimum) * shape(decayed / length)


def _decay_length(config: LrConfig, segment_tokens: int) -> int:
    """Length of the decay, which always ends with the segment."""
    if config.schedule != "wsd":
        return segment_tokens - config.warmup
    return decay_tokens(config, segment_tokens)


@dataclass(frozen=True)
class Segment:
    """A schedule and the tokens of the run it governs."""

    config: LrConfig
    start: int
    stop: int

    def at(self, tokens: int) -> float:
        """The rate when `tokens` of the run have been consumed."""
        return learning_rate_at(self.config, tokens - self.start, self.stop - self.start)


class LearningRate:
    """The learning rate of a whole run.

    Phases without an `lr` of their own follow the main segment, which runs over the whole budget and also counts the
    tokens of phases that have one. Where a phase with its own `lr` begins or ends the rate may jump (re-warming).

    Raises ConfigError for a schedule or a decay shape that does not exist.
    """

    def __init__(self, main: LrConfig, total_tokens: int, own: Sequence[Segment] = ()) -> None:
        for config in (main, *(segment.config for segment in own)):
            _check_names(config)
        self.main = Segment(main, 0, total_tokens)
        self.own = tuple(own)

    @classmethod
    def from_config(cls, config: Config, phases: Sequence[PhaseSpan]) -> LearningRate:
        """`phases` are those of the run (`Schedule.phases`)."""
        own = [Segment(span.lr, span.start, span.stop) for span in phases if span.lr is not None]
        return cls(config.lr, config.train.tokens, own)

    def at(self, tokens: int) -> float:
        """The rate of the step whose batch starts when `tokens` have been consumed."""
        return self.segment_at(tokens).at(tokens)

    def segment_at(self, tokens: int) -> Segment:
        """The segment that governs a batch starting at `tokens`."""
        return next((segment for segment in self.own if segment.start <= tokens < segment.stop), self.main)


def _check_names(config: LrConfig) -> None:
    if config.schedule not in SCHEDULES:
        raise ConfigError(f"lr.schedule: {config.schedule!r} is not known; choose one of {', '.join(SCHEDULES)}.")
    if config.decay_shape not in DECAY_SHAPES:
        raise ConfigError(
            f"lr.decay_shape: {config.decay_shape!r} is not known; choose one of {', '.join(DECAY_SHAPES)}."
        )
