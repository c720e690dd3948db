"""`megakor launch`, `status` and `stop`: their options. What they do is imported when they are called."""

from __future__ import annotations

import argparse
from pathlib import Path

from megakor.errors import ExitCode

SLURM, LOCAL, MPI, TORCHRUN = EXECUTORS = ("slurm", "local", "mpi", "torchrun")


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Their options."""
    verb = verbs.add_parser(
        "launch", help="start a run with Slurm, on this machine in the background, mpirun or torchrun"
    )
    add = verb.add_argument
    add("config", help="YAML file")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="for example train.tokens=2B lr.peak=1e-4")
    add("--executor", choices=EXECUTORS, default=SLURM, help="default: slurm; local is this machine, in the background")
    add("--nproc", type=int, metavar="N", help="ranks on this machine (default: the config's); not for Slurm")
    add(
        "--time",
        metavar="LIMIT",
        help="of one job, as Slurm spells it; saved and requeued before (default: 2-00:00:00)",
    )
    add("--name", metavar="NAME", help="of the job (default: the last part of run.dir)")
    add("--cpus-per-task", type=int, metavar="N", help="cores of a rank (Slurm)")
    add("--sbatch", action="append", default=[], metavar="KEY=VALUE", help="another option of sbatch: partition=h100")
    add("--setup", type=Path, metavar="FILE", help="shell file that a Slurm job sources first: modules, the network")
    add("--dry-run", action="store_true", help="print the batch script, or the command, and stop")
    verb.set_defaults(verb=_launch)

    verb = verbs.add_parser("status", help="where a run is: job, steps, tokens, losses")
    verb.add_argument("run", type=Path, help="run directory")
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(verb=_status)

    verb = verbs.add_parser("stop", help="ask a run to save and stop")
    verb.add_argument("run", type=Path, help="run directory")
    verb.set_defaults(verb=_stop)


def _launch(options: argparse.Namespace) -> int:
    from megakor.launch.command import launch

    return launch(options)


def _status(options: argparse.Namespace) -> int:
    from megakor.launch.status import status_text

    print(status_text(options.run, options.json))
    return ExitCode.DONE


def _stop(options: argparse.Namespace) -> int:
    from megakor.launch.activity import stop

    print(stop(options.run))
    return ExitCode.DONE
