"""Replay: the source or tag that it names, and its ratio."""

from __future__ import annotations

from megakor.config.check_mixture import unknown_name
from megakor.config.problems import Problem
from megakor.config.replay import replayed_sources
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, ReplayConfig


def check_replay(config: Config) -> list[Problem]:
    """Replay that names nothing, or has no ratio or two."""
    problems = []
    for index, phase in enumerate(config.data.phases):
        if phase.replay is not None:
            key = f"data.phases.{index}"
            problems += [*_named(config, phase.replay, f"{key}.replay"), *_ratio(phase.replay, f"{key}.replay")]
            problems += _weight_without_effect(config, phase, phase.replay, key)
    return problems


def _named(config: Config, replay: ReplayConfig, key: str) -> list[Problem]:
    if (replay.source is None) == (replay.tag is None):
        given = "neither a source nor a tag" if replay.source is None else "a source and a tag"
        fix = f"give one of them, such as {key}.tag=general."
        keys = (f"{key}.source", f"{key}.tag")
        return [Problem(keys, f"Replay names {given}.", "It needs to know what general text is.", fix)]
    if replay.source is not None and replay.source not in config.data.sources:
        return [unknown_name(f"{key}.source", replay.source, list(config.data.sources), "source", "data.sources")]
    if replay.tag is not None and not replayed_sources(replay, config.data.sources):
        tags = sorted({tag for source in config.data.sources.values() for tag in source.tags})
        return [unknown_name(f"{key}.tag", replay.tag, tags, "source with a tag", "data.sources.NAME.tags")]
    return []


def _ratio(replay: ReplayConfig, key: str) -> list[Problem]:
    if (replay.ratio is None) == (replay.cmr is None):
        given = "no ratio" if replay.ratio is None else "a ratio and a fitted file"
        fix = f"set {key}.ratio, such as 0.3, or {key}.cmr to a file of megakor cmr fit; not both."
        return [Problem((f"{key}.ratio", f"{key}.cmr"), f"Replay has {given}.", "", fix)]
    if replay.ratio == 0 and not replay.ratio_end:
        fix = "leave replay out, or set a ratio above 0."
        return [Problem((f"{key}.ratio",), "Replay of ratio 0 reads nothing.", "", fix, "warning")]
    return []


def _weight_without_effect(config: Config, phase: PhaseConfig, replay: ReplayConfig, key: str) -> list[Problem]:
    replayed = replayed_sources(replay, config.data.sources)
    weighed = [
        name for name in replayed if phase.weights.get(name, 0) > 0 or (phase.weights_end or {}).get(name, 0) > 0
    ]
    if len(replayed) != 1 or not weighed or phase.rule != "weights":
        return []
    what = f"'{weighed[0]}' has a weight, and its share is the ratio of replay."
    fix = f"leave {weighed[0]} out of the weights, or leave out {key}.replay."
    keys = (f"{key}.weights.{weighed[0]}", f"{key}.replay")
    return [Problem(keys, what, "The weight has no effect.", fix, "warning")]
