"""The part of the schema that says what is done when a run goes wrong (docs/README.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.config.quantities import Tokens


@dataclass
class HangConfig:
    """After how long without progress a rank writes down the stacks of its threads, and the run ends (exit code 70)."""

    step_seconds: float = 300.0
    """A step may always take so long."""
    evaluation_seconds: float = 600.0
    """A few micro-batches of an evaluation."""
    checkpoint_seconds: float = 1800.0
    """What training waits for of a checkpoint."""
    start_seconds: float = 1800.0
    """A part of the start, such as the loading of a checkpoint; and the first step."""
    factor: float = 10.0
    """And each of them this many times what it has taken at most so far."""


@dataclass
class StragglersConfig:
    """Which ranks compute more slowly than others."""

    every: int = 50
    """Steps over which their times are added up and compared."""
    factor: float = 1.5
    """A rank is slow that takes this many times the median."""


@dataclass
class AnomaliesConfig:
    """What is done when numbers go wrong. Every step is judged before its update, on all ranks alike."""

    not_finite: str = "stop"
    """A loss or gradient that is no number, or infinite. skip_update: the weights stay as they are. skip_data: and the
    next skip_tokens are passed over. rollback: the run goes back to a checkpoint and passes over the data up to here.
    stop: exit code 76."""
    loss_spike: str = "report"
    """A loss far above those of the latest steps. report, or as above."""
    gradient_spike: str = "report"
    """A gradient norm far above those of the latest steps. report, or as above."""
    loss_score: float = 8.0
    """How far: robust standard deviations (1.4826 x the median absolute deviation) above the median."""
    gradient_score: float = 12.0
    """As loss_score."""
    window: int = 256
    """The latest steps that a step is compared with, of the same phase. Refused ones do not count."""
    least: int = 64
    """Steps of a phase before spikes are looked for."""
    skip_tokens: Tokens | None = None
    """skip_data only: how much is consumed without training after the batch itself."""
    back: int = 1
    """rollback only: 1 goes back to the newest checkpoint, 2 to the one before it."""
    most_rollbacks: int = 3
    """One more, within rollback_tokens, is a stop."""
    rollback_tokens: Tokens | None = None
    """Default: the whole run."""
    most_in_a_row: int = 10
    """One more refused step, with none between them that is well, is a stop."""


@dataclass
class ResilienceConfig:
    """What keeps a run safe."""

    grace_seconds: float = 120.0
    """From a request to stop to an exit by force, should the run not have saved by then. Set it below the time that the
    scheduler gives."""
    time_limit_minutes: float | None = None
    """Save and ask for a requeue (exit code 75) before so much time is over. Slurm's own limit is known without it."""
    stop_before_seconds: float = 180.0
    """How long before the time limit the run saves: longer than a step, an evaluation and a checkpoint take."""
    hang: HangConfig = field(default_factory=HangConfig)
    stragglers: StragglersConfig = field(default_factory=StragglersConfig)
    anomalies: AnomaliesConfig = field(default_factory=AnomaliesConfig)
