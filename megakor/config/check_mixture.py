"""Weights, the rules that make them, and sources that they name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from megakor.config.phases import phases_of
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.ramp import mean_shares
from megakor.config.replay import replayed_sources
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig


def check_mixture(config: Config) -> list[Problem]:
    """Weights and rules that name what is not there, contradict each other, or cannot be met."""
    problems = []
    for index, phase in enumerate(config.data.phases):
        key = f"data.phases.{index}"
        if phase.rule == "weights":
            problems += [*_weights(config, phase, key), *_unused_of_rules(phase, key)]
        else:
            problems += _rule(config, phase, key)
    return problems or _too_small(config)


def unknown_name(key: str, name: str, known: Sequence[str], kind: str, place: str) -> Problem:
    """A problem for a name that nothing has, with the nearest one."""
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none yet"
    fix = f"did you mean {near[0]}?" if near else f"add it to {place}, or use one of: {listed}."
    return Problem((key,), f"There is no {kind} named '{name}' in {place}.", "", fix)


def _weights(config: Config, phase: PhaseConfig, key: str) -> list[Problem]:
    problems = []
    replayed = replayed_sources(phase.replay, config.data.sources)
    for place, weights in (("weights", phase.weights), ("weights_end", phase.weights_end)):
        if weights is None:
            continue
        for name in weights:
            if name not in config.data.sources:
                known = list(config.data.sources)
                problems.append(unknown_name(f"{key}.{place}.{name}", name, known, "source", "data.sources"))
        others = {name: weight for name, weight in weights.items() if name not in replayed}
        if not any(weight > 0 for weight in others.values()) and not _replay_alone(phase):
            problems.append(_nothing_to_read(config, phase, f"{key}.{place}", weights, replayed))
    return problems


def _replay_alone(phase: PhaseConfig) -> bool:
    """Whether general text is all that the phase reads."""
    replay = phase.replay
    return replay is not None and replay.ratio == 1 and replay.ratio_end in (None, 1)


def _nothing_to_read(
    config: Config, phase: PhaseConfig, key: str, weights: dict[str, float], replayed: tuple[str, ...]
) -> Problem:
    beside = " beside the replayed ones" if replayed else ""
    what = f"No source{beside} has a weight above 0 in the phase '{phase.name}'."
    if not weights:
        what = "The phase has no weights."
    free = [name for name in config.data.sources if name not in replayed]
    names = ", ".join(f"{name}: 1" for name in free[:3]) or "NAME: 1"
    why = "There would be nothing to read" + (" for the rest of the tokens." if replayed else ".")
    return Problem((key,), what, why, f"give its sources weights: {{{names}}}; they are scaled to a sum of 1.")


def _rule(config: Config, phase: PhaseConfig, key: str) -> list[Problem]:
    problems = []
    for place, weights in (("weights", phase.weights), ("weights_end", phase.weights_end)):
        if weights:
            what = f"The phase '{phase.name}' has {place} and the rule {phase.rule}."
            why = "The rule makes the weights from the sizes of the sources."
            fix = f"leave out {key}.{place}, or set {key}.rule=weights."
            problems.append(Problem((f"{key}.{place}", f"{key}.rule"), what, why, fix))
    for number, name in enumerate(phase.sources):
        if name not in config.data.sources:
            known = list(config.data.sources)
            problems.append(unknown_name(f"{key}.sources.{number}", name, known, "source", "data.sources"))
    if phase.rule == "unimax" and phase.max_epochs is None:
        why = "It divides tokens equally up to a number of passes over each source."
        fix = f"set {key}.max_epochs, such as 4."
        problems.append(Problem((f"{key}.max_epochs", f"{key}.rule"), "UniMax has no cap.", why, fix))
    replayed = replayed_sources(phase.replay, config.data.sources)
    if not [name for name in phase.sources or config.data.sources if name not in replayed] and not _replay_alone(phase):
        what = f"The rule {phase.rule} has no source beside the replayed ones in the phase '{phase.name}'."
        fix = f"name others in {key}.sources, or leave out {key}.replay."
        problems.append(Problem((f"{key}.sources", f"{key}.replay"), what, "Replay is a part of a mixture.", fix))
    return problems + _unused_of_rules(phase, key)


def _unused_of_rules(phase: PhaseConfig, key: str) -> list[Problem]:
    """A setting that has no effect is a sign of a misunderstanding."""
    settings = {
        "sources": (bool(phase.sources) and phase.rule == "weights", "temperature or unimax"),
        "temperature": (phase.temperature != 1 and phase.rule != "temperature", "temperature"),
        "max_epochs": (phase.max_epochs is not None and phase.rule != "unimax", "unimax"),
    }
    return [
        Problem(
            (f"{key}.{name}", f"{key}.rule"),
            f"It has no effect with the rule {phase.rule}.",
            "",
            f"set {key}.rule to {rule}, or leave this key out.",
            "warning",
        )
        for name, (is_set, rule) in settings.items()
        if is_set
    ]


def _too_small(config: Config) -> list[Problem]:
    """Weights above 0 that come to less than one row: the source would not be read at all."""
    problems = []
    for phase in phases_of(config):
        stop = min(phase.stop, config.train.tokens)
        if stop <= phase.start or phase.unknown:
            continue
        for name, share in mean_shares(phase.weights, phase.ramp, phase.start, stop).items():
            tokens = share * (stop - phase.start)
            if tokens < phase.sequence_length and name in config.data.sources:
                key = f"data.phases.{phase.index}"
                what = (
                    f"The weight of '{name}' comes to {tokens:,.1f} tokens in the phase '{phase.name}' of "
                    f"{format_tokens(stop - phase.start)}, less than one row of {phase.sequence_length:,}."
                )
                fix = "raise the weight or lengthen the phase, or leave the source out of it."
                problems.append(
                    Problem((f"{key}.weights.{name}", f"{key}.tokens"), what, "It may not be read.", fix, "warning")
                )
    return problems
