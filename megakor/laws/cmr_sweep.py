"""`megakor cmr sweep`: short runs over mixture ratios from one base, each a run directory that `cmr fit` reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from megakor.config.check import valid_config
from megakor.config.load import save_config
from megakor.errors import ExitCode
from megakor.launch.in_turn import Command, last_words, run_command
from megakor.laws.cmr_fit import tokens
from megakor.laws.sweep_plan import PlannedRun, SweepSettings, check_overrides, check_validation, names_of, plan_sweep
from megakor.laws.sweep_runs import DOMAIN, GENERAL, Roles
from megakor.laws.sweep_state import changes, check_unchanged, drop_checkpoints, is_finished, measured, state_text
from megakor.lock import NAME, lock_directory
from megakor.storage import make_directory
from megakor.text_table import aligned

FEWEST = 4
"""Ratios below 1 that a law over ratios needs."""
Runner = Callable[[Command], int]


def main(arguments: Sequence[str]) -> int:
    """Plan, run what is not finished, and say what was measured."""
    given = _parser().parse_intermixed_args(arguments)
    check_overrides(given.overrides)
    config, _ = valid_config(given.config, given.overrides)
    roles = Roles(names_of(given.general, config, GENERAL), names_of(given.domain, config, DOMAIN))
    settings = SweepSettings(
        output=given.output,
        base=given.base,
        base_optimizer=given.base_optimizer,
        roles=roles,
        ratios=given.ratios,
        tokens=given.tokens,
        seeds=given.seeds,
        warmup=given.warmup,
        evaluations=given.evaluations,
    )
    runs = plan_sweep(config, settings)
    for run in runs:
        check_unchanged(run)
    part, parts = given.share
    runs = runs[part::parts]
    print("\n".join(_planned(runs, settings)))
    if given.dry_run or not runs:
        return ExitCode.DONE
    check_validation(config, (*roles.general, *roles.domain))
    name = f"lock-{part}-of-{parts}" if parts > 1 else NAME
    with lock_directory(settings.output, "Wait for that sweep, or choose another --output.", name):
        return run_sweep(runs, settings, run_command, keep=given.keep_checkpoints)


def run_sweep(runs: Sequence[PlannedRun], settings: SweepSettings, runner: Runner, keep: bool = False) -> int:
    """Run what is not finished, one after another; the others still run where one fails.

    Returns the exit code of the first that failed, or 0.
    """
    failed: dict[str, int] = {}
    commands = [command_of(run, settings) for run in runs]
    for number, (run, command) in enumerate(zip(runs, commands, strict=True), 1):
        if is_finished(run, measured(run)):
            continue
        print(f"[{number}/{len(runs)}] {command.text}", flush=True)
        code = runner(command)
        if code == ExitCode.REQUEUE:
            print("  saved, to make room; the same command goes on", flush=True)
            return code
        if code:
            failed[run.name] = code
            words = "\n  ".join(last_words(command.log))
            print(f"  failed with exit code {code} ({command.log}):\n  {words}", flush=True)
        elif not keep and is_finished(run, measured(run)):
            drop_checkpoints(run)
    print("\n".join(["", *_results(runs, settings.roles, failed), "", _next(runs, settings, failed)]))
    return next(iter(failed.values()), ExitCode.DONE)


def command_of(run: PlannedRun, settings: SweepSettings) -> Command:
    """Write the config of a run, and say how it is started, here or by anything else that starts commands."""
    path = settings.output / "configs" / f"{run.name}.yaml"
    make_directory(path.parent)
    save_config(run.config, path)
    return Command(run.name, ("pretrain", str(path)), settings.output / "logs" / f"{run.name}.log")


def _planned(runs: Sequence[PlannedRun], settings: SweepSettings) -> list[str]:
    config = runs[0].config
    began = config.run.base or "random weights, the same for all ratios of a seed"
    lines = [
        f"{len(runs)} runs of {settings.tokens:,} tokens, each from {began}",
        f"domain: {', '.join(settings.roles.domain)}; general: {', '.join(settings.roles.general)}",
        f"learning rate {config.lr.peak:g}, constant after {config.lr.warmup:,} tokens; evaluated at 0 and every "
        f"{config.evaluation.every:,} tokens",
    ]
    below = len({run.ratio for run in runs if run.ratio < 1})
    if below < FEWEST:
        lines.append(f"ratios below 1: {below}; a law over ratios needs {FEWEST}, so these alone cannot be fitted")
    rows = [("run", "mixture", "state")]
    for run in runs:
        weights = run.config.data.phases[0].weights
        mixture = " ".join(f"{name}={share:.4g}" for name, share in weights.items())
        rows.append((run.name, mixture, state_text(run, measured(run))))
    return [*lines, "", *aligned(rows, left=3), ""]


def _results(runs: Sequence[PlannedRun], roles: Roles, failed: dict[str, int]) -> list[str]:
    rows = [("run", "state", "tokens", "general", "domain")]
    for run in runs:
        found = measured(run)
        state = f"failed ({failed[run.name]})" if run.name in failed else "finished"
        if run.name not in failed and not is_finished(run, found):
            state = "ended early"
        if not found:
            rows.append((run.name, state, "-", "-", "-"))
            continue
        reached, general, domain = changes(found, roles, str(run.directory))
        rows.append((run.name, state, f"{reached:,}", f"{general:+.4f}", f"{domain:+.4f}"))
    return ["change of loss from the first evaluation to the last (nats)", *aligned(rows, left=2)]


def _next(runs: Sequence[PlannedRun], settings: SweepSettings, failed: dict[str, int]) -> str:
    if failed:
        return f"{len(failed)} of {len(runs)} runs failed: mend what they name; the same command runs them again."
    return f"next: megakor cmr fit {settings.output}"


def _ratios(text: str) -> tuple[float, ...]:
    try:
        found = [float(Fraction(word.strip())) for word in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of shares such as 1/8,0.25,1") from None
    wrong = [ratio for ratio in found if not 0 < ratio <= 1]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]:g} is no share of the domain: above 0, at most 1")
    if len({f"{ratio:.4f}" for ratio in found}) < len(found):
        raise argparse.ArgumentTypeError("two of the ratios agree in four digits")
    return tuple(found)


def _seeds(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdigit() for word in words) or len({int(word) for word in words}) < len(words):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of different whole numbers such as 1,2,3")
    return tuple(int(word) for word in words)


def _share(text: str) -> tuple[int, int]:
    """(the index, from 0; the number of parts)."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no share such as 0/6: counted from 0, below the number of shares"
        )
    return int(part), int(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor cmr sweep",
        description="Short runs over the domain's share of the mixture, from one base and at a constant learning rate "
        "after a warm-up: what megakor cmr fit reads. The same command again goes on; finished runs are skipped.",
    )
    add = parser.add_argument
    add("config", type=Path, metavar="CONFIG", help="model, batch, sources; the mixture and the schedule are replaced")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="for example lr.peak=1e-4")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--base", type=Path, metavar="PATH", help="checkpoint, or run directory, to begin from")
    origin.add_argument("--scratch", action="store_true", help="begin from random weights")
    add("--base-optimizer", action="store_true", help="take the state of the base's optimizer, too")
    add("--domain", action="append", default=[], metavar="NAME", help="source of the domain; several times")
    add("--general", action="append", default=[], metavar="NAME", help="source of general text; several times")
    default = "1/8,1/4,1/3,1/2,3/4,1"
    add("--ratios", type=_ratios, default=_ratios(default), metavar="R,...", help=f"shares of the domain ({default})")
    add("--tokens", type=tokens, required=True, metavar="T", help="length of each run")
    add("--seeds", type=_seeds, default=(), metavar="N,...", help="every ratio with each (default: the config's)")
    add("--warmup", type=tokens, metavar="T", help="default: a twentieth of the tokens")
    add("--evaluations", type=int, default=24, metavar="N", help="of a run, evenly spaced (default: %(default)s)")
    add("--output", type=Path, required=True, metavar="DIRECTORY", help="of the runs, their configs and logs")
    add("--keep-checkpoints", action="store_true", help="keep the last one of a finished run; a fit needs none")
    add(
        "--share",
        type=_share,
        default=(0, 1),
        metavar="I/N",
        help="every Nth run from the Ith (0...) on, beside others",
    )
    add("--dry-run", action="store_true", help="print the plan and stop")
    return parser
