"""`megakor cmr fit`: from the runs of a sweep to the critical mixture ratio."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from megakor.config.quantities import parse_tokens
from megakor.curriculum.cmr.analysis import Analysis, analyse
from megakor.curriculum.cmr.fitted_file import write_fitted
from megakor.curriculum.cmr.settings import Settings
from megakor.errors import ConfigError, ExitCode
from megakor.laws.cmr_text import analysis_text
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.storage import write_text


def main(arguments: Sequence[str]) -> int:
    """Fit, print, and write what was asked for. Measurements that determine no ratio are explained, and no error."""
    given = _parser().parse_args(arguments)
    settings = _settings(given)
    measurements = read_sweep(given.runs, Roles(tuple(given.general), tuple(given.domain)))
    if given.data is not None:
        write_text(given.data, json.dumps(measurements.as_json(), ensure_ascii=False, indent=1) + "\n")
    analysis = analyse(measurements, settings)
    print(analysis_text(analysis))
    if given.output is not None:
        write_fitted(analysis, given.output)
        print(f"\nwrote {given.output}")
    _draw(analysis, given.plot, given.tensorboard)
    return ExitCode.DONE


def _draw(analysis: Analysis, picture: Path | None, events: Path | None) -> None:
    if picture is None and events is None:
        return
    from megakor.laws.cmr_plot import plot_analysis

    if picture is not None:
        plot_analysis(analysis, picture)
        print(f"wrote {picture}")
    if events is not None:
        from megakor.laws.cmr_tensorboard import write_events

        print(f"wrote {write_events(analysis, events)}")


def _settings(given: argparse.Namespace) -> Settings:
    """Raises ConfigError for values out of range."""
    wrong = [
        ("--epsilon", given.epsilon, given.epsilon > 0),
        ("--lambda", given.weight, given.weight > 0),
        ("--level", given.level, 0 < given.level < 1),
        ("--replicates", given.replicates, given.replicates >= 0),
        ("--reach", given.reach, given.reach >= 1),
    ]
    for name, value, right in wrong:
        if not right:
            raise ConfigError(f"{name} {value:g} is out of range (megakor cmr fit --help).")
    return Settings(
        tokens=given.tokens,
        epsilon=given.epsilon,
        weight=given.weight,
        unit=given.unit,
        level=given.level,
        replicates=given.replicates,
        seed=given.seed,
        reach=given.reach,
    )


def tokens(text: str) -> int:
    """An amount of tokens above 0 on the command line."""
    try:
        amount = parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if amount == 0:
        raise argparse.ArgumentTypeError("0 tokens are nothing to plan for")
    return amount


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="megakor cmr fit",
        description="Fit the critical mixture ratio: the largest share of domain text that keeps the general loss "
        "within a tolerance at the end of a budget (arXiv 2407.17467). docs/plan-a-mixture.md explains the output.",
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="run directories, their directory, or one DATA.json")
    add("--tokens", type=tokens, metavar="N", help="budget to plan for, such as 20B (default: what all runs reached)")
    add("--epsilon", type=float, default=default.epsilon, metavar="NATS", help="tolerance (default: %(default)g)")
    add("--lambda", dest="weight", type=float, default=default.weight, metavar="X", help="default: %(default)g")
    add("--general", action="append", default=[], metavar="SET", help="validation set of general text; several times")
    add("--domain", action="append", default=[], metavar="SET", help="validation set of domain text; several times")
    add("--unit", type=tokens, default=default.unit, metavar="N", help="tokens that constants are given for (200M)")
    add("--level", type=float, default=default.level, help="of the intervals (default: %(default)g)")
    add(
        "--replicates",
        type=int,
        default=default.replicates,
        metavar="N",
        help="of the bootstrap (default: %(default)s)",
    )
    add("--seed", type=int, default=default.seed, help="of the bootstrap (default: %(default)s)")
    add(
        "--reach",
        type=float,
        default=default.reach,
        metavar="X",
        help="extrapolate to X times the measured tokens (10)",
    )
    add("--output", type=Path, metavar="FITTED", help="write the fit as JSON, for megakor cmr plan and replay.cmr")
    add("--data", type=Path, metavar="FILE", help="write the measurements as DATA.json")
    add("--plot", type=Path, metavar="FILE", help="draw the fit (.png, .svg, .pdf; needs matplotlib)")
    add("--tensorboard", type=Path, metavar="DIRECTORY", help="write the picture and R* as a TensorBoard event file")
    return parser
