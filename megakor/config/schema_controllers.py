"""The part of the schema that steers mixtures by validation losses (docs/controllers.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.config.quantities import Tokens


@dataclass
class ReplayControllerConfig:
    """Raises replay while general text is forgotten, and lowers it again."""

    tolerance: float = 0.05
    """Replay is raised while the general loss is more than this above the reference (nats per token, as epsilon of
    `megakor cmr fit`)."""
    release: float | None = None
    """Replay is lowered while it is at most this above the reference; between the two it stays. Default: half of the
    tolerance."""
    reference: str = "phase"
    """phase: the loss at the start of the phase. run: at the start of the run, which is that of its base."""
    minimum: float | None = None
    """The ratio is never below this. Default: where the phase begins, replay.ratio."""
    maximum: float = 0.5
    """The ratio is never above this."""
    step: float = 0.05
    """One decision raises or lowers the ratio by this much."""
    patience: int = 2
    """Lower only after this many decisions in a row at or below `release`; raise at once."""
    every: Tokens | None = None
    """Decide at least this often, counted from the start of the phase; it is evaluated there. Default: at every
    evaluation of the phase."""


@dataclass
class ReweightingConfig:
    """The mixture of Llama-3-SynE: sources whose validation perplexity falls least get more."""

    every: Tokens | None = None
    """Length of a segment, counted from the start of the phase; it is evaluated at its end. Default: from one
    evaluation of the phase to the next."""
    strength: float = 0.1
    """alpha: the largest change of a share by one decision, relative to it, before shares are scaled to their sum."""
    importance: dict[str, float] = field(default_factory=dict)
    """w of each source. Default: 1."""
    sources: list[str] = field(default_factory=list)
    """The sources that take part; they divide what they have together. Default: all of the phase but replayed ones."""
    minimum: float = 0.5
    """A source keeps at least this part of its starting share."""
    maximum: float = 2.0
    """A source gets at most this many times its starting share."""
