"""What srun and mpirun say about a process."""

from __future__ import annotations

import pytest

from megakor.errors import ConfigError
from megakor.launched import Launched, by_mpi, by_srun

STEP = {
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4,3",
}


@pytest.mark.parametrize(
    ("tasks", "node", "size"), [("4,3", 1, 3), ("2(x3),1", 2, 2), ("2(x3),1", 3, 1), ("", 0, 7), ("odd", 0, 7)]
)
def test_a_task_of_srun_knows_how_many_are_on_its_node(tasks: str, node: int, size: int) -> None:
    here = by_srun({**STEP, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": str(node)})
    assert here == Launched(rank=5, size=7, local_rank=1, local_size=size)


def test_neither_a_batch_script_nor_a_step_of_one_task_is_a_launch() -> None:
    assert by_srun({"SLURM_JOB_ID": "41", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) is None
    assert by_srun({**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


def test_mpirun_inside_of_a_job_is_not_the_step_of_its_daemons() -> None:
    assert by_srun({**STEP, "PMI_RANK": "0", "PMI_SIZE": "4"}) is None
    assert by_srun({**STEP, "PMI_RANK": "5", "PMI_SIZE": "7"}) is not None


@pytest.mark.parametrize(
    "names",
    [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
        ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
        ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ],
)
def test_ranks_of_every_mpi_are_known(names: tuple[str, ...]) -> None:
    assert by_mpi(dict(zip(names, ("6", "8", "2", "4"), strict=True))) == Launched(6, 8, 2, 4)


def test_one_rank_of_mpirun_is_one_process() -> None:
    assert by_mpi({"PMI_RANK": "0", "PMI_SIZE": "1"}) is None
    assert by_mpi({}) is None


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigError, match="SLURM_LOCALID is 'x'"):
        by_srun({**STEP, "SLURM_LOCALID": "x"})
