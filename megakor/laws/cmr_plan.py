"""`megakor cmr plan`: the fitted mixture, written into a config."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from megakor.config.load import load_config
from megakor.config.phases import phases_of
from megakor.config.schema import Config
from megakor.config.yaml_text import dump_yaml
from megakor.curriculum.cmr.analysis import analyse
from megakor.curriculum.cmr.fitted_file import FittedFile, read_fitted
from megakor.curriculum.cmr.verdict import interval_words, verdict, why_unusable
from megakor.errors import ConfigError, DataError, ExitCode
from megakor.laws.mixture_phases import phases_with_ratio
from megakor.storage import write_text

LOW = "low"


def main(arguments: Sequence[str]) -> int:
    """Write a config that includes the given one and has the mixture of the fit in one phase."""
    given = _parser().parse_args(arguments)
    config = load_config(given.config)
    index = _phase_index(config, given.phase)
    budget = phases_of(config)[index].tokens
    fitted = read_fitted(given.fitted)
    ratio, why = _ratio_for(fitted, budget, given.fitted, given.take)
    phases = phases_with_ratio(given.config, config, index, ratio)
    output = given.output or given.config.with_name(f"{given.config.stem}.cmr.yaml")
    if output.resolve() == given.config.resolve():
        raise ConfigError(
            f"{output}: the plan includes this config and cannot take its place. Choose another --output."
        )
    write_text(output, _text(given, output, ratio, why, phases))
    print(why)
    print(f"wrote {output}: {ratio:.4f} of the tokens from the domain, {1 - ratio:.4f} general text")
    return ExitCode.DONE


def _ratio_for(fitted: FittedFile, budget: int, path: Path, take: str) -> tuple[float, str]:
    """(R* for a budget, what there is to say about it). Another budget than the fit's is fitted anew.

    Raises DataError when the measurements determine no ratio.
    """
    analysis = analyse(fitted.measurements, replace(fitted.settings, tokens=budget))
    if analysis.usable is None:
        raise DataError(f"{path}: no ratio can be planned for {budget:,} tokens: {why_unusable(analysis)}")
    if take != LOW:
        return analysis.usable, verdict(analysis)
    low = analysis.interval.low if analysis.interval else float("-inf")
    if low <= 0:
        raise DataError(
            f"{path}: the interval of R* ({interval_words(analysis.interval)}) has no lower end among the measured "
            "ratios. Measure smaller ratios, or leave --take out."
        )
    return min(low, analysis.usable), f"{verdict(analysis)} Taken: the lower end."


def _phase_index(config: Config, name: str | None) -> int:
    """The phase by name, or the only one. Raises ConfigError."""
    names = [span.name for span in phases_of(config)]
    if name is None and len(names) > 1:
        raise ConfigError(
            f"The config has {len(names)} phases. Say with --phase which one is planned: {', '.join(names)}."
        )
    if name is not None and name not in names:
        raise ConfigError(f"--phase {name}: there is no such phase. The config has {', '.join(names)}.")
    return 0 if name is None else names.index(name)


def _text(given: argparse.Namespace, output: Path, ratio: float, why: str, phases: list[Any]) -> str:
    included = os.path.relpath(given.config.resolve(), output.resolve().parent)
    comment = f"# The mixture of {given.fitted.name}, by megakor cmr plan: {why}\n"
    return comment + dump_yaml({"include": included, "data": {"phases": phases}})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor cmr plan",
        description="Write a config that includes CONFIG and gives one phase the critical mixture ratio for that "
        "phase's number of tokens: replay.ratio where the phase has replay, its weights otherwise.",
    )
    add = parser.add_argument
    add("fitted", type=Path, metavar="FITTED", help="written by megakor cmr fit --output")
    add("--config", type=Path, required=True, metavar="CONFIG", help="its sources are tagged domain and general")
    add("--phase", metavar="NAME", help="default: the only one")
    add("--output", type=Path, metavar="FILE", help="default: CONFIG.cmr.yaml beside it")
    add(
        "--take",
        choices=["point", LOW],
        default="point",
        help="R*, or the lower end of its interval (default: %(default)s)",
    )
    return parser
