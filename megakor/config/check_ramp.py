"""Ramps of weights and of replay, and phases that hold too few batches for what they ask."""

from __future__ import annotations

from megakor.config.phases import PhaseSteps, steps_of
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig

MOST_ROUNDING = 0.05
"""Rounding a phase to whole batches may change its length by this share without a word."""


def check_ramps(config: Config) -> list[Problem]:
    """Ramps that cannot be seen, ramp settings without effect, and phases that do not fit their batches."""
    problems = []
    for index, phase in enumerate(config.data.phases):
        problems += _unused(phase, f"data.phases.{index}")
    if config.data.phases and config.train.global_batch_size <= config.train.tokens:
        for counted in steps_of(config):
            if counted.phase.start < config.train.tokens:
                problems += [*_batches(config, counted), *_one_batch(config, counted)]
    return problems


def _moves(phase: PhaseConfig) -> bool:
    return phase.weights_end is not None or (phase.replay is not None and phase.replay.ratio_end is not None)


def _unused(phase: PhaseConfig, key: str) -> list[Problem]:
    default = PhaseConfig()
    settings = {
        "ramp": phase.ramp != default.ramp and not _moves(phase),
        "ramp_tokens": phase.ramp_tokens is not None and not _moves(phase),
        "ramp_steps": phase.ramp_steps != default.ramp_steps and (phase.ramp != "step" or not _moves(phase)),
    }
    found = []
    for name, is_set in settings.items():
        if is_set:
            still = not _moves(phase)
            what = "It has no effect: nothing moves in this phase." if still else "It has no effect without ramp=step."
            fix = f"set {key}.weights_end or {key}.replay.ratio_end" if still else f"set {key}.ramp=step"
            keys = (f"{key}.{name}", f"{key}.weights_end")
            found.append(Problem(keys, what, "", f"{fix}, or leave this key out.", "warning"))
    return found


def _batches(config: Config, counted: PhaseSteps) -> list[Problem]:
    """A batch belongs to the phase of its first token, so a short phase may have none, or far more than its tokens."""
    phase = counted.phase
    planned = min(phase.stop, config.train.tokens) - phase.start
    batch = phase.batch_tokens or config.train.global_batch_size
    keys = (f"data.phases.{phase.index}.tokens", "train.global_batch_size")
    why = "A batch belongs to the phase in which its first token lies, and there are no partial batches."
    down = max(1, planned // batch) * batch
    fix = f"set its length to a multiple of the batch, such as {format_tokens(down)} or {format_tokens(down + batch)}."
    if not counted.steps:
        what = f"No batch of {format_tokens(batch)} begins in the {format_tokens(planned)} of the phase '{phase.name}'."
        return [Problem(keys, what, why, fix)]
    if abs(counted.tokens - planned) > MOST_ROUNDING * planned:
        what = (
            f"The phase '{phase.name}' of {format_tokens(planned)} tokens reads {counted.tokens:,}: {counted.steps:,} "
            f"batches of {format_tokens(batch)}."
        )
        return [Problem(keys, what, why, fix, "warning")]
    return []


def _one_batch(config: Config, counted: PhaseSteps) -> list[Problem]:
    index, phase = counted.phase.index, config.data.phases[counted.phase.index]
    if counted.steps == 0 or not _moves(phase):
        return []
    batch = counted.phase.batch_tokens or config.train.global_batch_size
    length = min(counted.phase.tokens, phase.ramp_tokens or counted.phase.tokens)
    levels = phase.ramp_steps if phase.ramp == "step" else 2
    if length >= levels * batch:
        return []
    short = f"data.phases.{index}.{'ramp_tokens' if phase.ramp_tokens else 'tokens'}"
    what = (
        f"The ramp of the phase '{phase.name}' goes over {format_tokens(length)} tokens, and a batch has "
        f"{format_tokens(batch)}."
    )
    why = f"The mixture changes from batch to batch: a {phase.ramp} ramp needs at least {levels} of them."
    fix = f"set {short} to {format_tokens(levels * batch)} or more, or use two phases without a ramp."
    return [Problem((short, f"data.phases.{index}.ramp"), what, why, fix)]
