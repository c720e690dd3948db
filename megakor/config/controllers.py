"""What steers the mixture of a phase: its controllers, and the validation text that they look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from megakor.config.quantities import format_tokens
from megakor.config.replay import replayed_sources
from megakor.config.schema import Config
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig
from megakor.config.schema_data import PhaseConfig, ReplayConfig


@dataclass(frozen=True)
class Controllers:
    """The controllers of a phase; it has at least one."""

    replay: ReplayControllerConfig | None
    general: tuple[str, ...]
    """Validation sets whose mean loss the controller of replay looks at, as far as they are there."""
    reweighting: ReweightingConfig | None
    topics: tuple[str, ...]
    """Sources whose shares are reweighted by the losses of their own validation sets."""

    def words(self) -> dict[str, str]:
        """The settings of each, for people."""
        words = {}
        if self.replay is not None:
            words["replay controller"] = _replay_words(self.replay)
        if self.reweighting is not None:
            words["reweighting"] = _reweighting_words(self.reweighting, self.topics)
        return words


def controllers_of(config: Config, phase: PhaseConfig) -> Controllers | None:
    """Those of a phase; None where its mixture is as planned."""
    replay = phase.replay.controller if phase.replay is not None else None
    if replay is None and phase.reweighting is None:
        return None
    general = general_sets(config, phase.replay) if phase.replay is not None and replay is not None else ()
    return Controllers(replay, general, phase.reweighting, reweighted_sources(config, phase))


def general_sets(config: Config, replay: ReplayConfig) -> tuple[str, ...]:
    """Validation sets of general text: those of the replayed sources, and all others with their tag."""
    further = [name for name, found in config.evaluation.sources.items() if replay.tag in found.tags]
    return (*replayed_sources(replay, config.data.sources), *further)


def reweighted_sources(config: Config, phase: PhaseConfig) -> tuple[str, ...]:
    """The sources named, or all of the phase but the replayed ones; none where nothing is reweighted."""
    if phase.reweighting is None:
        return ()
    return tuple(phase.reweighting.sources) or free_sources(config, phase)


def free_sources(config: Config, phase: PhaseConfig) -> tuple[str, ...]:
    """What a phase reads by its weights or by its rule, beside replay."""
    replayed = replayed_sources(phase.replay, config.data.sources)
    weighed = [name for name, weight in phase.weights.items() if weight > 0]
    read = weighed if phase.rule == "weights" else phase.sources or list(config.data.sources)
    return tuple(name for name in read if name not in replayed)


def release_of(settings: ReplayControllerConfig) -> float:
    """Up to this much above the reference, replay is lowered."""
    return settings.tolerance / 2 if settings.release is None else settings.release


def lowest_ratio(settings: ReplayControllerConfig, begins: float) -> float:
    """The ratio that a controller does not go below, where the phase begins with `begins`."""
    return begins if settings.minimum is None else settings.minimum


def ratio_of(shares: Mapping[str, float], replayed: tuple[str, ...]) -> float:
    """The replay ratio of a mixture, in twelve digits: sums of steps are compared with it."""
    return round(sum(shares.get(name, 0.0) for name in replayed), 12)


def _replay_words(settings: ReplayControllerConfig) -> str:
    lowest = "its start" if settings.minimum is None else f"{settings.minimum:g}"
    return (
        f"between {lowest} and {settings.maximum:g} in steps of {settings.step:g}{_rhythm(settings.every)}: up while "
        f"the general loss is more than {settings.tolerance:g} above that at the start of the {settings.reference}, "
        f"down after {settings.patience} in a row of at most {release_of(settings):g}"
    )


def _reweighting_words(settings: ReweightingConfig, topics: tuple[str, ...]) -> str:
    weighed = [f"{name} {weight:g}" for name, weight in sorted(settings.importance.items())]
    importance = f", importance {', '.join(weighed)}" if weighed else ""
    return (
        f"{', '.join(topics)} by changes of perplexity{_rhythm(settings.every)}, strength {settings.strength:g}"
        f"{importance}; each between {settings.minimum:g} and {settings.maximum:g} times its starting share"
    )


def _rhythm(every: int | None) -> str:
    return ", at every evaluation" if every is None else f", every {format_tokens(every)}"
