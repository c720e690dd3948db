"""Probes that cannot be given, and points of a phase's own evaluation grid that it never reaches."""

from __future__ import annotations

from megakor.config.phases import phases_of
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config, ProbeConfig


def check_probes(config: Config) -> list[Problem]:
    """One problem for each of them."""
    probes = config.evaluation.probes.items()
    problems = [found for name, probe in probes for found in _probe(f"evaluation.probes.{name}", probe, config)]
    return [*problems, *_unreached(config)]


def _probe(key: str, probe: ProbeConfig, config: Config) -> list[Problem]:
    if probe.kind == "choice":
        if probe.path:
            return []
        fix = "name a JSONL file (megakor corpus probe makes one), or set kind: copying."
        return [Problem((f"{key}.path",), "The probe has no questions.", "", f"{fix}")]
    longest = config.train.sequence_length // 2
    if probe.length <= longest:
        return []
    return [
        Problem(
            (f"{key}.length", "train.sequence_length"),
            f"{probe.length} tokens, twice, are longer than a sequence of {config.train.sequence_length}.",
            "The model must see both copies at once.",
            f"set {key}.length to at most {longest}.",
        )
    ]


def _unreached(config: Config) -> list[Problem]:
    problems = []
    for phase in phases_of(config):
        own = config.data.phases[phase.index].evaluation if config.data.phases else None
        if own is None:
            continue
        key = f"data.phases.{phase.index}.evaluation"
        points = {f"{key}.every": own.every}
        points |= {f"{key}.early.{index}": point for index, point in enumerate(own.early)}
        problems += [
            Problem(
                (place, f"data.phases.{phase.index}.tokens"),
                f"It is {format_tokens(point)}, and the phase has {format_tokens(phase.tokens)} tokens.",
                "Points of a phase are counted from its start; this one is never reached.",
                f"lower {place}, or leave it out.",
                "warning",
            )
            for place, point in points.items()
            if point is not None and point >= phase.tokens
        ]
    return problems
