"""`megakor doctor` and the preflight on several ranks, of which one is made different as a cluster does it: other code,
a directory of its own, other limits, a package that should not be there."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_runs import PATIENCE, World, kill_group
from slurm_cluster import SlurmCluster

import megakor
from megakor.errors import ExitCode

pytestmark = pytest.mark.slow

THREE = ("train.global_batch_size=1152",)
"""A batch that three ranks can share."""


@dataclass(frozen=True)
class Node:
    """A rank on a node of its own, as far as one machine can have several: other names, mounts, limits and packages."""

    name: str
    before: str = ":"
    """Shell commands of this test in the namespaces of the node."""
    python_path: str = ""


def start(world: World, nodes: list[Node], words: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """`megakor WORDS` on every node at once, one rank each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = [_start(world, rank, nodes, port, words) for rank in range(len(nodes))]
    ended = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE)
            ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    finally:
        for process in processes:
            if process.returncode is None:
                kill_group(process)
    return ended


def _start(world: World, rank: int, nodes: list[Node], port: str, words: list[str]) -> subprocess.Popen[str]:
    node, path = nodes[rank], os.environ.get("PYTHONPATH", "")
    command = shlex.join([sys.executable, "-m", "megakor", *words])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RANK": str(rank),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": str(len(nodes)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "PYTHONPATH": f"{node.python_path}:{path}" if node.python_path else path,
    }
    return subprocess.Popen(
        ["unshare", "--mount", "--uts", "sh", "-c", f"hostname {node.name} && {node.before} && exec {command}"],
        cwd=world.directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    tried = subprocess.run(["unshare", "--mount", "--uts", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"no namespaces can be made here: {tried.stderr.decode().strip()}")


@pytest.fixture(scope="module")
def other_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one byte changed, in a comment."""
    copy = tmp_path_factory.mktemp("other") / "megakor"
    shutil.copytree(Path(megakor.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    content = (copy / "units.py").read_bytes()
    (copy / "units.py").write_bytes(content.replace(b"Short forms", b"short forms", 1))
    return copy.parent


@pytest.fixture(scope="module")
def web_toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package `apex` that a mistaken `pip install apex` gives."""
    package = tmp_path_factory.mktemp("toolkit") / "apex"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('a web toolkit')\n")
    return package.parent


def test_equal_nodes_are_well_and_nothing_is_left_behind(world: World) -> None:
    (world.run_dir("examined") / "checkpoints").mkdir(parents=True)
    nodes = [Node(f"node{rank}") for rank in range(3)]
    ended = start(world, nodes, ["doctor", "run.yaml", "run.dir=runs/examined", *THREE])
    assert [process.returncode for process in ended] == [0, 0, 0], ended
    report, *others = (process.stdout for process in ended)
    assert others == ["", ""]
    for subject in (
        "gloo all-reduce",
        "gloo link",
        "clock",
        "write speed",
        "run directory",
        "limits",
        "code",
        "saving",
    ):
        assert any(line[5:].startswith(subject) for line in report.splitlines()), subject
    assert "0 failures" in report and "on 3 ranks of 3 nodes" in report
    assert list((world.run_dir("examined") / "checkpoints").iterdir()) == []
    assert [path.name for path in world.run_dir("examined").iterdir()] == ["checkpoints"]


def test_a_bad_node_is_named_with_everything_that_is_wrong_with_it(
    world: World, other_code: Path, web_toolkit: Path
) -> None:
    world.run_dir("mixed").mkdir(parents=True)
    nodes = [
        Node("good"),
        Node("few", before="ulimit -n 512", python_path=str(web_toolkit)),
        Node("apart", before="mount -t tmpfs none runs/mixed", python_path=str(other_code)),
    ]
    ended = start(world, nodes, ["doctor", "run.yaml", "run.dir=runs/mixed", *THREE])
    assert [process.returncode for process in ended] == [ExitCode.HARDWARE] * 3, ended
    lines = {line[:5].strip(): [] for line in ended[0].stdout.splitlines()}
    for line in ended[0].stdout.splitlines():
        lines[line[:5].strip()].append(line[5:])
    [apex, code, directory] = lines["FAIL"]
    assert apex.startswith("apex") and "few (rank 1): not NVIDIA's" in apex
    assert code.startswith("code") and "apart (rank 2): " in code and "few" not in code
    assert directory.startswith("run directory") and "apart (rank 2): does not share" in directory
    assert any("few (rank 1): open files 512" in line for line in lines["warn"])
    assert "apart (rank 2) differs in units.py" in ended[0].stdout


def test_a_launch_with_a_bad_node_ends_before_it_begins(world: World, other_code: Path) -> None:
    run = world.run_dir("bad")
    run.mkdir(parents=True)
    bad = Node("bad", before="mount -t tmpfs none runs/bad", python_path=str(other_code))
    ended = start(world, [Node("good"), bad], ["pretrain", "run.yaml", "run.dir=runs/bad"])
    assert [process.returncode for process in ended] == [ExitCode.HARDWARE] * 2, ended
    told = ended[0].stderr
    assert "these ranks cannot train together" in told and "Traceback" not in told
    assert "bad (rank 1): megakor" in told and "bad (rank 1) differs in units.py" in told
    assert "bad (rank 1): does not share" in told
    assert not list(run.glob("checkpoints/*")) and not (run / "metrics.jsonl").exists()


def test_a_machine_alone_is_examined_without_other_ranks(world: World) -> None:
    ended = world.megakor("doctor", "run.yaml", "run.dir=runs/alone-examined")
    assert ended.code == ExitCode.DONE, ended
    assert "data" in ended.out and "all paths are here" in ended.out and "a checkpoint takes about" in ended.out
    assert not world.run_dir("alone-examined").exists()
    assert world.megakor("doctor", "none.yaml").code == ExitCode.USAGE


def test_srun_examines_all_nodes_of_a_step(world: World, slurm: SlurmCluster) -> None:
    shape = ["srun", "--nodes=2", "--ntasks-per-node=1", "--time=10"]
    ended = subprocess.run(
        [*shape, sys.executable, "-m", "megakor", "doctor", "run.yaml", "run.dir=runs/slurm"],
        cwd=world.directory,
        env={**slurm.environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == ExitCode.DONE, ended
    assert "0 failures" in ended.stdout
    assert f"on 2 ranks of {2 if slurm.isolated else 1} node" in ended.stdout
