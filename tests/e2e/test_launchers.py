"""The same run under mpirun, torchrun and megakor's own start: whatever started the ranks, they compute the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_runs import BATCH, PATIENCE, World

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
WORDS = ("pretrain", "run.yaml", f"train.tokens={4 * BATCH}", "parallel.tensor=2")


def launch(world: World, name: str, *launcher: str, wrong: str = "") -> subprocess.CompletedProcess[str]:
    """`LAUNCHER megakor pretrain`, as typed on a command line."""
    kept = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(
        [str(BIN / launcher[0]), *launcher[1:], *WORDS, f"run.dir=runs/{name}", *([wrong] if wrong else [])],
        cwd=world.directory,
        env={**kept, "OMP_NUM_THREADS": "1", "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.fixture(scope="module")
def own_start(world: World) -> dict[int, float]:
    """The losses of four ranks that megakor starts by itself."""
    world.pretrain("own-start", *WORDS[2:], "--nproc", "4")
    return world.losses("own-start")


def test_four_ranks_of_mpirun_compute_what_megakors_own_do(world: World, own_start: dict[int, float]) -> None:
    if not (BIN / "mpirun").exists():
        pytest.skip("no mpirun: pip install mpich, or megakor[test]")
    ended = launch(world, "mpirun", "mpirun", "-n", "4", sys.executable, "-m", "megakor")
    assert ended.returncode == 0, ended.stderr
    assert world.losses("mpirun") == own_start
    assert ended.stdout.count("world 4 = tensor 2 x context 1 x data 2 x pipeline 1") == 1
    assert {path.name for path in world.run_dir("mpirun").glob("logs/rank-*.log")} == {
        f"rank-{rank}.log" for rank in (1, 2, 3)
    }


def test_a_wrong_setting_under_mpirun_is_told_once_with_its_code(world: World) -> None:
    if not (BIN / "mpirun").exists():
        pytest.skip("no mpirun: pip install mpich, or megakor[test]")
    ended = launch(world, "wrong", "mpirun", "-n", "2", sys.executable, "-m", "megakor", wrong="wrong=1")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("error: The configuration") == 1


def test_four_ranks_of_torchrun_compute_what_megakors_own_do(world: World, own_start: dict[int, float]) -> None:
    ended = launch(world, "torchrun", "torchrun", "--standalone", "--nproc-per-node", "4", "-m", "megakor")
    assert ended.returncode == 0, ended.stderr
    assert world.losses("torchrun") == own_start
