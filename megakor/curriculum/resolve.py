"""The weights that a config does not hold: from the sizes of sources and from fitted files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from megakor.config.controllers import lowest_ratio
from megakor.config.phases import PhaseSpan, ends_of, ramp_between
from megakor.config.ramp import Ramp
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig
from megakor.curriculum.rules import temperature_weights, unimax_weights
from megakor.errors import ConfigError, DataError


@dataclass(frozen=True)
class Frozen:
    """The mixture of a phase that has begun, as it was compiled then."""

    weights: Mapping[str, float]
    ramp: Ramp | None
    rule: Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What a schedule needs beside its config."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    """Tokens of an epoch of each source."""
    ratios: Mapping[int, float] = field(default_factory=dict)
    """Replay ratio by the number of the phase, where it comes from a fitted file."""
    frozen: Mapping[int, Frozen] = field(default_factory=dict)
    """By the number of the phase: a source that grew does not move the weights of a phase that has begun."""


def fitted_ratios(config: Config) -> dict[int, float]:
    """Replay ratio of every phase that takes it from a fitted file, by the number of the phase. Raises DataError."""
    return {
        index: read_replay_ratio(Path(phase.replay.cmr))
        for index, phase in enumerate(config.data.phases)
        if phase.replay is not None and phase.replay.cmr is not None
    }


def read_replay_ratio(path: Path) -> float:
    """1 - R* of a file that `megakor cmr fit` wrote: R* is the share of the domain, replay is that of general text.

    Raises:
        DataError: the file cannot be read, or the fit found no ratio.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ratio = content["R_star"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a fitted critical mixture ratio ({error}). Write it with megakor cmr fit, or set "
            "replay.ratio in the place of replay.cmr."
        ) from None
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
        reason = content.get("reason") or f"R_star is {ratio}"
        raise DataError(f"{path} holds no mixture ratio: {reason}. Set replay.ratio in the place of replay.cmr.")
    return 1.0 - float(ratio)


def resolve(config: Config, span: PhaseSpan, known: Known) -> PhaseSpan:
    """The phase with its weights.

    Raises:
        ConfigError: a rule cannot be met with these sizes.
    """
    frozen = known.frozen.get(span.index)
    if frozen is not None and frozen.rule == span.rule:
        return replace(span, weights=frozen.weights, ramp=frozen.ramp, unknown="")
    if not span.unknown:
        return span
    phase = config.data.phases[span.index]
    ratio = known.ratios.get(span.index, phase.replay.ratio if phase.replay else None)
    final = phase.replay.ratio_end if phase.replay and phase.replay.ratio_end is not None else ratio
    weights = phase.weights if phase.rule == "weights" else _by_rule(config, phase, span, known.sizes, ratio, final)
    _check_start(phase, span, ratio)
    begin, end = ends_of(config, phase, weights, ratio, final)
    return replace(span, weights=begin, ramp=ramp_between(phase, begin, end, span.start, span.stop), unknown="")


def _check_start(phase: PhaseConfig, span: PhaseSpan, ratio: float | None) -> None:
    """The ratio of a fitted file is not known to the checks of a config."""
    settings = phase.replay.controller if phase.replay else None
    if settings is None or ratio is None or lowest_ratio(settings, ratio) <= ratio <= settings.maximum:
        return
    raise ConfigError(
        f"data.phases.{span.index}.replay: the phase begins with a ratio of {ratio:.4g}, and its controller keeps it "
        f"between {lowest_ratio(settings, ratio):g} and {settings.maximum:g}. Set bounds around it, or replay.ratio."
    )


def _by_rule(
    config: Config,
    phase: PhaseConfig,
    span: PhaseSpan,
    sizes: Mapping[str, int],
    ratio: float | None,
    final: float | None,
) -> dict[str, float]:
    """Weights of all sources of a phase: the rule divides the part of replay and the rest separately."""
    key = f"data.phases.{span.index}"
    named = phase.sources or list(config.data.sources)
    general = {name: sizes[name] for name in span.replayed}
    others = {name: sizes[name] for name in named if name not in span.replayed}
    if phase.rule == "temperature":
        groups = [temperature_weights(group, phase.temperature) for group in (general, others) if group]
        return {name: weight for group in groups for name, weight in group.items()}
    if phase.max_epochs is None:
        raise ConfigError(f"{key}.max_epochs: UniMax needs it. Set how often a source may be read at most.")
    stop = min(span.stop, config.train.tokens)
    moving = ramp_between(phase, {"replay": ratio or 0.0}, {"replay": final or 0.0}, span.start, span.stop)
    passed = moving.passed(span.start, stop) if moving else 0.0
    replayed = (1 - passed) * (ratio or 0.0) + passed * (final or 0.0)
    tokens = max(stop - span.start, 0)
    parts = [(general, replayed * tokens), (others, (1 - replayed) * tokens)]
    groups = [unimax_weights(group, budget, phase.max_epochs, key) for group, budget in parts if group]
    return {name: weight for group in groups for name, weight in group.items()}
