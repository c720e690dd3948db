"""Which of how many processes this one is, by what srun or mpirun put into the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from megakor.errors import ConfigError

_MPI = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),  # MPICH and Intel MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
)
_TASKS_OF_NODES = re.compile(r"(\d+)(?:\(x(\d+)\))?")
"""Slurm's short spelling of numbers in a row: 4(x2),3 is 4, 4, 3."""


@dataclass(frozen=True)
class Launched:
    """One of the processes that were started together."""

    rank: int
    size: int
    local_rank: int
    """Among those of this machine."""
    local_size: int


def by_srun(environment: Mapping[str, str]) -> Launched | None:
    """The place in a job step of several tasks; None elsewhere.

    A batch script has SLURM_PROCID, too, but no size of a step. A step of one task is a shell for what starts in it.

    Raises:
        ConfigError: a variable is no number.
    """
    if "SLURM_STEP_NUM_TASKS" not in environment:
        return None
    rank, size = number(environment, "SLURM_PROCID"), number(environment, "SLURM_STEP_NUM_TASKS")
    mpi = by_mpi(environment)
    # mpirun inside of a job starts its daemons as a step: then the ranks are MPI's.
    if size == 1 or (mpi is not None and (mpi.rank, mpi.size) != (rank, size)):
        return None
    tasks = _tasks_of_nodes(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = number(environment, "SLURM_NODEID", 0)
    return Launched(rank, size, number(environment, "SLURM_LOCALID", rank), tasks[node] if node < len(tasks) else size)


def by_mpi(environment: Mapping[str, str]) -> Launched | None:
    """The place among several ranks of mpirun (Open MPI, MPICH, Intel MPI, MVAPICH); None elsewhere.

    Raises:
        ConfigError: a variable is no number.
    """
    for rank, size, local_rank, local_size in _MPI:
        if rank in environment and size in environment and number(environment, size) > 1:
            mine, of_all = number(environment, rank), number(environment, size)
            return Launched(
                mine, of_all, number(environment, local_rank, mine), number(environment, local_size, of_all)
            )
    return None


def join_mpi(size: int) -> Any:
    """Start MPI and return its communicator of all ranks.

    Raises:
        ConfigError: mpi4py is missing, or belongs to another MPI than the mpirun that started this process.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # a RuntimeError when there is no library of MPI
        raise ConfigError(f"mpirun needs mpi4py ({error}). Install it: pip install 'megakor[mpi]' mpich") from error
    if MPI.COMM_WORLD.Get_size() != size:
        raise ConfigError(
            f"mpirun started {size} ranks, but mpi4py sees {MPI.COMM_WORLD.Get_size()}: it uses another MPI "
            f"({MPI.Get_library_version().splitlines()[0].strip()}). Use the mpirun of that one, or build mpi4py for "
            "this one: pip install --force-reinstall --no-binary mpi4py mpi4py"
        )
    return MPI.COMM_WORLD


def number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    """The value of a variable that a launcher sets to a number. Raises ConfigError."""
    text = environment.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ConfigError(f"the environment variable {name} is {text!r}; a launcher sets it to a number.")
    return int(text)


def _tasks_of_nodes(text: str) -> list[int]:
    found = [_TASKS_OF_NODES.fullmatch(word) for word in text.split(",")]
    return [int(match[1]) for match in found if match for _ in range(int(match[2] or 1))]
