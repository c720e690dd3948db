"""Whatever started a process, it finds its rank and the others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.errors import ConfigError
from megakor.launch.placement import MPIRUN, SRUN, TORCHRUN, adopt_rank
from megakor.launch.slurm_step import first_node, step_port

STEP = {
    "SLURM_JOB_ID": "123456",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_NODELIST": "gpu[01-08]",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
RANK = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_a_process_by_itself_has_no_launcher() -> None:
    environment: dict[str, str] = {"SLURM_JOB_ID": "41", "SLURM_PROCID": "0"}
    before = dict(environment)
    assert adopt_rank(environment) is None
    assert environment == before


def test_what_torchrun_said_is_kept() -> None:
    environment = {**STEP, "RANK": "0", "WORLD_SIZE": "8"}
    assert adopt_rank(environment) == TORCHRUN
    assert environment == {**STEP, "RANK": "0", "WORLD_SIZE": "8"}


def test_a_task_of_srun_meets_the_others_on_the_first_node_of_its_step() -> None:
    environment = dict(STEP)
    assert adopt_rank(environment) == SRUN
    assert environment == {**STEP, **RANK, "MASTER_ADDR": "gpu07", "MASTER_PORT": "23456"}


def test_a_meeting_point_that_the_user_exports_is_kept() -> None:
    environment = {**STEP, "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "4000"}
    adopt_rank(environment)
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("10.0.0.7", "4000")
    mpi = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
    environment = {**mpi, "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "4000"}
    assert adopt_rank(environment) == MPIRUN, "and then mpi4py is not needed"
    assert {name: environment[name] for name in RANK} == RANK


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[007-012]", "gpu007"),
        ("gpu[3,5,9-11]", "gpu3"),
        ("rack[1-2]-ib,login", "rack1-ib"),
        ("a-b.c.example[4-5],x", "a-b.c.example4"),
    ],
)
def test_the_first_name_of_a_list_of_nodes_is_read_without_scontrol(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize("nodes", ["", ",", "[1-2]"])
def test_a_list_of_nodes_that_is_none_is_told(nodes: str) -> None:
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        first_node(nodes)


@given(st.integers(1, 10**8), st.integers(0, 9))
def test_the_port_of_a_step_is_its_own_and_below_those_that_the_system_gives_out(job: int, step: int) -> None:
    ports = [step_port(job, step), step_port(job, step + 1), step_port(job + 1, step)]
    assert len(set(ports)) == 3
    assert all(1024 < port < 32768 for port in ports)


def test_a_rank_beside_the_first_writes_to_a_log_of_its_own(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom megakor.launch.rank_log import write_to_rank_log\n"
        f"print('before'); write_to_rank_log(Path({str(tmp_path)!r}) / 'logs', 3)\n"
        "print('said'); print('warned', file=sys.stderr); sys.stdout.flush(); os.system('echo by a library')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "before\n"
    assert sorted((tmp_path / "logs/rank-3.log").read_text().split("\n")) == ["", "by a library", "said", "warned"]


def test_ranks_of_mpirun_agree_on_a_meeting_point(tmp_path: Path) -> None:
    mpirun = Path(sys.executable).with_name("mpirun")
    if not mpirun.exists():
        pytest.skip("no mpirun: pip install mpich, or megakor[test]")
    program = (
        "import os\nfrom pathlib import Path\nfrom megakor.launch.placement import adopt_rank\nadopt_rank(os.environ)\n"
        "names = 'RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'\n"
        f"Path({str(tmp_path)!r}, os.environ['RANK']).write_text(' '.join(os.environ[name] for name in names))"
    )
    ended = subprocess.run([mpirun, "-n", "2", sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    port = re.fullmatch(r"0 0 2 2 127\.0\.0\.1 (\d+)", (tmp_path / "0").read_text())
    assert port
    assert (tmp_path / "1").read_text() == f"1 1 2 2 127.0.0.1 {port[1]}"
