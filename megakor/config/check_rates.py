"""Learning rates: the schedule of the run and those of phases that have their own."""

from __future__ import annotations

from megakor.config.phases import phases_of
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.schema_training import LrConfig

DEFAULT_DECAY_SHARE = 10
"""Without lr.decay, wsd decays over the last tenth of its segment."""


def check_rates(config: Config) -> list[Problem]:
    """Schedules of the learning rate that contradict themselves, and settings without effect."""
    problems = _segment(config.lr, "lr", config.train.tokens, "the run (train.tokens)")
    for phase in phases_of(config):
        if phase.lr is not None and phase.tokens > 0:
            problems += _segment(phase.lr, f"data.phases.{phase.index}.lr", phase.tokens, f"the phase '{phase.name}'")
    return problems


def decay_tokens(lr: LrConfig, segment_tokens: int) -> int:
    """Length of the decay of a wsd schedule over `segment_tokens`."""
    return segment_tokens // DEFAULT_DECAY_SHARE if lr.decay is None else lr.decay


def _segment(lr: LrConfig, key: str, tokens: int, owner: str) -> list[Problem]:
    return [*_rates(lr, key), *_lengths(lr, key, tokens, owner), *_unused(lr, key)]


def _rates(lr: LrConfig, key: str) -> list[Problem]:
    problems = []
    for name, value in (("minimum", lr.minimum), ("start", lr.start)):
        if value > lr.peak:
            what = f"The {name} {value:g} is above the peak {lr.peak:g}."
            fix = f"set {key}.{name} to at most {lr.peak:g}, or raise {key}.peak."
            problems.append(Problem((f"{key}.{name}", f"{key}.peak"), what, "", fix))
    return problems


def _lengths(lr: LrConfig, key: str, tokens: int, owner: str) -> list[Problem]:
    total = format_tokens(tokens)
    if lr.warmup >= tokens:
        what = f"The warm-up of {format_tokens(lr.warmup)} tokens is as long as {owner}, {total}, or longer."
        fix = f"set {key}.warmup to a small part of it, such as {format_tokens(tokens // 100)}."
        return [Problem((f"{key}.warmup", "train.tokens"), what, "The peak would never be reached.", fix)]
    decay = decay_tokens(lr, tokens)
    if lr.schedule == "wsd" and lr.warmup + decay > tokens:
        what = (
            f"Warm-up ({format_tokens(lr.warmup)}) and decay ({format_tokens(decay)}) are longer than {owner}, {total}."
        )
        fix = f"set {key}.decay to at most {format_tokens(tokens - lr.warmup)}, or shorten the warm-up."
        return [Problem((f"{key}.decay", f"{key}.warmup", "train.tokens"), what, "They may not overlap.", fix)]
    return []


def _unused(lr: LrConfig, key: str) -> list[Problem]:
    """A setting that has no effect is a sign of a misunderstanding."""
    if lr.schedule == "wsd":
        return []
    defaults = LrConfig()
    settings = {
        "decay": lr.decay is not None,
        "decay_shape": lr.decay_shape != defaults.decay_shape,
        "minimum": lr.schedule == "constant" and lr.minimum > 0,
    }
    fix = f"set {key}.schedule=wsd, or leave this key out."
    return [
        Problem(
            (f"{key}.{name}", f"{key}.schedule"),
            f"It has no effect with the {lr.schedule} schedule.",
            "",
            fix,
            "warning",
        )
        for name, is_set in settings.items()
        if is_set
    ]
