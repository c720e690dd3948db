"""How a process learns its rank: srun and mpirun each have words of their own, and the program knows torchrun's.

A rank needs RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Whoever sets RANK and
WORLD_SIZE (torchrun, `megakor pretrain` for its own ranks, Kubernetes operators) has said all. Otherwise a task of srun
reads its step, and a rank of mpirun asks the others where to meet.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, MutableMapping

from megakor.launch.slurm_step import meeting_point
from megakor.launched import Launched, by_mpi, by_srun, join_mpi

TORCHRUN, SRUN, MPIRUN = "torchrun", "srun", "mpirun"
_MEETING = ("MASTER_ADDR", "MASTER_PORT")


def adopt_rank(environment: MutableMapping[str, str]) -> str | None:
    """Write into `environment` what the launcher said, as torchrun would have; returns the launcher's name.

    MASTER_ADDR and MASTER_PORT that are set already are kept. None: nobody has started several processes.

    Raises:
        ConfigError: a variable is no number, or mpirun and mpi4py do not belong together.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return TORCHRUN
    if (here := by_srun(environment)) is not None:
        _write(environment, here, lambda: meeting_point(environment))
        return SRUN
    if (here := by_mpi(environment)) is not None:
        found = here
        _write(environment, here, lambda: _agree_by_mpi(found))
        return MPIRUN
    return None


def _write(environment: MutableMapping[str, str], here: Launched, meeting: Callable[[], tuple[str, int]]) -> None:
    if not all(name in environment for name in _MEETING):
        address, port = meeting()
        environment.setdefault("MASTER_ADDR", address)
        environment.setdefault("MASTER_PORT", str(port))
    environment["RANK"], environment["WORLD_SIZE"] = str(here.rank), str(here.size)
    environment["LOCAL_RANK"], environment["LOCAL_WORLD_SIZE"] = str(here.local_rank), str(here.local_size)


def _agree_by_mpi(here: Launched) -> tuple[str, int]:
    """Rank 0's machine and a free port there, told to all. MPI is left again: nothing else is sent through it."""
    world = join_mpi(here.size)
    alone = here.local_size == here.size
    offer = ("127.0.0.1" if alone else socket.gethostname(), free_port()) if here.rank == 0 else None
    address, port = world.bcast(offer)
    from mpi4py import MPI

    MPI.Finalize()
    return address, port


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
