"""Subsets, caps and what happens there: what they say together, before any data is looked at."""

from __future__ import annotations

import math

from megakor.config.phases import phases_of, sequence_lengths
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig


def check_sources(config: Config) -> list[Problem]:
    """Settings of one source that contradict each other, or the phases."""
    problems = []
    for name, source in config.data.sources.items():
        key = f"data.sources.{name}"
        problems += [
            *_never_exhausted(key, source),
            *_subset(config, key, source),
            *_past_its_cap(config, name, source),
        ]
    return problems


def _never_exhausted(key: str, source: SourceConfig) -> list[Problem]:
    if source.exhausted == "redistribute" or source.epochs is not None:
        return []
    what = f"{key}.exhausted is {source.exhausted}, and the source has no cap."
    why = "It would be read again and again, and never be exhausted."
    return [Problem((f"{key}.exhausted", f"{key}.epochs"), what, why, f"set {key}.epochs, such as 1.")]


def _subset(config: Config, key: str, source: SourceConfig) -> list[Problem]:
    if source.subset is None:
        return []
    problems = []
    shortest = min(sequence_lengths(config))
    if source.subset.tokens < shortest:
        what = f"The subset has {source.subset.tokens} tokens, and the shortest sequence {shortest}."
        why = "A subset is made of whole blocks, at least as long as a sequence."
        fix = f"set {key}.subset.tokens to {format_tokens(shortest)} or more."
        problems.append(Problem((f"{key}.subset.tokens",), what, why, fix))
    if source.subset.resample and source.epochs is not None and source.epochs <= 1:
        what = f"The subset is drawn anew for every epoch, and there is at most one ({source.epochs:g})."
        fix = f"raise {key}.epochs, or leave out {key}.subset.resample."
        keys = (f"{key}.subset.resample", f"{key}.epochs")
        problems.append(Problem(keys, what, "It has no effect.", fix, "warning"))
    return problems


def _past_its_cap(config: Config, name: str, source: SourceConfig) -> list[Problem]:
    """Where a subset gives its size, what is asked of the source in all is compared with its cap."""
    if source.exhausted != "fail" or source.subset is None or source.epochs is None:
        return []
    phases = phases_of(config)
    if any(phase.unknown for phase in phases):
        return []
    most = source.subset.tokens * source.epochs
    stops = [(phase, min(phase.stop, config.train.tokens)) for phase in phases]
    asked = sum(
        phase.shares(phase.start, stop).get(name, 0) * (stop - phase.start)
        for phase, stop in stops
        if stop > phase.start
    )
    batch = max(phase.batch_tokens or config.train.global_batch_size for phase in phases)
    if asked <= most + 2 * batch:
        return []
    key = f"data.sources.{name}"
    what = (
        f"The phases read {format_tokens(round(asked))} tokens of '{name}', {asked / source.subset.tokens:.2f} epochs."
    )
    why = (
        f"Its subset of {format_tokens(source.subset.tokens)} is read at most {source.epochs:g} times, and exhausted: "
        "fail ends the run as an error there."
    )
    # The last batch may go past the budget, and the mixture may be early by less than another one.
    enough = math.ceil((asked + 2 * batch) / source.subset.tokens * 100) / 100
    fix = f"raise {key}.epochs to {enough:g}, lower its weight, or set {key}.exhausted to stop or redistribute."
    return [Problem((f"{key}.exhausted", f"{key}.epochs", f"{key}.subset.tokens"), what, why, fix)]
