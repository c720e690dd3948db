"""Runs under mpirun or torchrun, on the terminal: started, and started again where a rank was lost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from megakor.errors import ConfigError, ExitCode
from megakor.launch.ending import code_of_ranks, conclude_attempt
from megakor.launch.forwarding import run_forwarding


def mpirun_command(ranks: int, rank: Sequence[str]) -> list[str]:
    """`mpirun` of the active environment, else of the machine."""
    return ["mpirun", "-n", str(ranks), *rank]


def torchrun_command(ranks: int, rank: Sequence[str]) -> list[str]:
    """torchrun for the ranks of this machine, which meet at a port that is free."""
    _, *words = rank  # torchrun adds the interpreter
    return ["torchrun", "--standalone", "--nproc-per-node", str(ranks), *words]


def run_to_the_end(command: Sequence[str], run: Path) -> int:
    """Run a launcher until its run is done; returns the exit code. Signals are passed on, and no other start follows.

    Raises:
        ConfigError: the launcher is not installed.
    """
    program = _find(command[0])
    while True:
        returned, asked = run_forwarding([program, *command[1:]])
        code = code_of_ranks(returned)
        if asked or code in (ExitCode.DONE, ExitCode.REQUEUE):
            return code
        ending = conclude_attempt(run, code, "")
        print(ending.words, file=sys.stderr, flush=True)
        if ending.code != ExitCode.REQUEUE:
            return ending.code


def _find(program: str) -> str:
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None:
        raise ConfigError(f"{program} is not installed: pip install 'megakor[mpi]' mpich has mpirun.")
    return found
