"""`megakor pretrain`: its options, and how it becomes one rank of a run or starts all of them on this machine. What it
does is imported when it is called."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from megakor.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from megakor.config.problems import Problem
    from megakor.config.schema import Config
    from megakor.resilience.listener import StopListener


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its options."""
    verb = verbs.add_parser("pretrain", help="train from a config, or go on where its run stopped")
    verb.add_argument("config", help="YAML file")
    verb.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for example train.tokens=2B lr.peak=1e-4")
    verb.add_argument("--nproc", type=int, metavar="N", help="ranks to start on this machine (default: the config's)")
    verb.add_argument("--dry-run", action="store_true", help="print the resolved run and stop")
    verb.add_argument("--check-data", action="store_true", help="data that is not on this machine is an error")
    verb.set_defaults(verb=_pretrain)


def _pretrain(options: argparse.Namespace) -> int:
    from megakor.resilience.listener import StopListener

    with StopListener() as listener:
        return _pretrain_listening(options, listener)


def _pretrain_listening(options: argparse.Namespace, listener: StopListener) -> int:
    from megakor.config.check import valid_config, world_size_of
    from megakor.config.problems import render
    from megakor.launch.placement import TORCHRUN, adopt_rank
    from megakor.launch.rendezvous import Rendezvous

    launcher = adopt_rank(os.environ)
    launched, here = launcher is not None, Rendezvous.from_environment()
    ranks = here.world_size if launched else options.nproc
    config, warnings = valid_config(
        options.config, options.overrides, world_size=ranks, check_data_files=options.check_data
    )
    ranks = ranks or world_size_of(config)
    if options.dry_run:
        _print_plan(config, ranks, warnings)
        return ExitCode.DONE
    if warnings and here.rank == 0 and (launched or ranks == 1):
        print(render(warnings), file=sys.stderr)
    if not launched and options.nproc is None and config.cluster.nodes > 1:
        raise ConfigError(
            f"cluster.nodes is {config.cluster.nodes}, and this command alone starts ranks on one machine only. Start "
            "it on all nodes with a launcher (docs/cluster.md), or say with --nproc N how many ranks to start here."
        )
    if not launched and ranks > 1:
        return _start_ranks(options, ranks, Path(config.run.dir), listener)
    if launcher not in (None, TORCHRUN) and here.rank > 0:
        from megakor.launch.rank_log import write_to_rank_log

        write_to_rank_log(Path(config.run.dir) / "logs", here.rank)
    from megakor.train.start import start

    return start(config, ranks, listener)


def _print_plan(config: Config, ranks: int, warnings: list[Problem]) -> None:
    from megakor.config.summary import summary_text
    from megakor.data.supply import dry_run_plan

    print(summary_text(config, ranks, warnings))
    plan = dry_run_plan(config)
    print("".join(f"{line}\n" for line in ("", *plan)) if plan else "", end="")


def _start_ranks(options: argparse.Namespace, ranks: int, directory: Path, listener: StopListener) -> int:
    from megakor.launch.local import start_ranks

    words = ["pretrain", options.config, *options.overrides]
    threads = max(1, (os.cpu_count() or 1) // ranks)
    return start_ranks(words, ranks, directory / "logs", threads, listener.let_go)
