from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus import preprocess_command
from megakor.corpus.build import team as team_module
from megakor.corpus.build.team import SLURM_ARRAY, VARIABLE, Kind, Team
from megakor.errors import ConfigError


def array(task: int, first: int = 0, last: int = 3, size: int = 4, step: int = 1) -> dict[str, str]:
    numbers = {"ID": task, "MIN": first, "MAX": last, "COUNT": size, "STEP": step}
    return {VARIABLE: SLURM_ARRAY, **{f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in numbers.items()}}


def step(rank: int, size: int) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "41",
        "SLURM_STEP_ID": "2",
        "SLURM_PROCID": str(rank),
        "SLURM_STEP_NUM_TASKS": str(size),
    }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A stand-in for mpi4py that sees four ranks."""
    communicator = types.SimpleNamespace(Get_size=lambda: 4)
    library = types.SimpleNamespace(COMM_WORLD=communicator, Get_library_version=lambda: "MPI of a test")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=library))
    return library


@given(st.lists(st.integers()), st.integers(1, 9))
def test_every_task_belongs_to_exactly_one_member(tasks: list[int], size: int) -> None:
    numbered = list(enumerate(tasks))
    shares = [Team(rank, size).mine(numbered) for rank in range(size)]
    assert sorted(task for share in shares for task in share) == numbered
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_by_itself_is_a_team_of_one() -> None:
    assert Team.detect({}) == Team(0, 1, Kind.ALONE)
    assert str(Team()) == "one process"


def test_an_array_is_a_team_that_nobody_may_wait_in() -> None:
    assert Team.detect(array(2)) == Team(2, 4, Kind.ARRAY, together=False)
    assert Team.detect(array(30, first=10, last=30, size=3, step=10)).rank == 2
    assert str(Team.detect(array(2))) == "member 3 of 4 (Slurm array)"


def test_one_task_of_an_array_alone_takes_everything() -> None:
    assert Team.detect(array(3, first=3, last=3, size=1)) == Team(0, 1, Kind.ALONE)


def test_an_array_of_builds_of_their_own_is_no_team() -> None:
    environment = array(2)
    del environment[VARIABLE]
    assert Team.detect(environment) == Team()


@pytest.mark.parametrize("gaps", [array(3, last=7, size=3), array(4, last=8, size=3, step=2)])
def test_an_array_with_gaps_is_refused(gaps: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="sbatch --array=0-2"):
        Team.detect(gaps)


@pytest.mark.parametrize("stray", [array(4), array(9), array(0, first=1, last=4), array(8, 2, 6, 3, 2)])
def test_a_task_outside_its_array_is_refused(stray: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_ID is"):
        Team.detect(stray)


@pytest.mark.parametrize("empty", [array(0, 0, 0, 1, 0), array(0, 1, 0, 0)])
def test_an_array_of_nothing_is_refused(empty: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="is 0; a launcher sets"):
        Team.detect(empty)


@pytest.mark.parametrize("stray", [{"PMI_RANK": "4", "PMI_SIZE": "4"}, {**step(0, 2), "SLURM_PROCID": "2"}])
def test_a_rank_beyond_its_team_is_refused(stray: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="counted from 0, of only"):
        Team.detect(stray)


def test_a_batch_script_with_several_tasks_is_no_step() -> None:
    assert Team.detect({"SLURM_JOB_ID": "41", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == Team()


def test_members_of_a_step_need_no_mpi() -> None:
    assert Team.detect(step(1, 3)) == Team(1, 3, Kind.SRUN, step="41.2")
    assert Team.detect({**step(1, 3), "PMI_RANK": "1", "PMI_SIZE": "3"}).kind is Kind.SRUN
    assert Team.detect(step(0, 1)) == Team()


def test_steps_inside_an_array_make_one_team() -> None:
    teams = [Team.detect({**array(task, last=2, size=3), **step(rank, 2)}) for task in range(3) for rank in range(2)]
    assert [team.rank for team in teams] == list(range(6))
    assert all(team.size == 6 and not team.together for team in teams)


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD", "PMI", "MV2_COMM_WORLD"])
def test_ranks_of_mpirun_are_a_team(name: str, world: types.SimpleNamespace) -> None:
    ranks = {f"{name}_RANK": "3", f"{name}_SIZE": "4"}
    assert Team.detect(ranks) == Team(3, 4, Kind.MPI)
    assert Team.detect({**step(0, 2), **ranks}).kind is Kind.MPI, "mpirun over two nodes starts its daemons as a step"


def test_another_mpi_than_that_of_mpirun_is_told(world: types.SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match=r"5 ranks, but mpi4py sees 4.*MPI of a test"):
        Team.detect({"PMI_RANK": "0", "PMI_SIZE": "5"})


def test_missing_mpi4py_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ConfigError, match=r"pip install 'megakor\[mpi\]'"):
        Team.detect({"PMI_RANK": "0", "PMI_SIZE": "4"})
    assert Team.detect({"PMI_RANK": "0", "PMI_SIZE": "1"}) == Team()


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_MIN is 'x'"):
        Team.detect({**array(0), "SLURM_ARRAY_TASK_MIN": "x"})


def test_waiting_looks_less_and_less_often_and_says_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    pauses: list[float] = []
    words: list[str] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(team_module, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    Team(1, 4, Kind.MPI).wait(lambda: now[0] > 130, "the others", words.append)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert max(pauses) <= 2
    assert len(words) == 2
    assert words[0].startswith("waiting for the others for 6")


def test_lines_of_a_member_bear_its_name() -> None:
    words: list[str] = []
    Team(1, 4, Kind.MPI).labelled(words.append)("a line")
    Team().labelled(words.append)("another")
    assert words == ["member 2 of 4 (MPI): a line", "another"]


def test_waiting_in_an_array_says_what_may_never_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    words: list[str] = []
    clock = types.SimpleNamespace(sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), monotonic=lambda: now[0])
    monkeypatch.setattr(team_module, "time", clock)
    Team(1, 4, Kind.ARRAY, together=False).wait(lambda: now[0] > 65, "the others", words.append)
    assert words[0].endswith("Tasks of the array that cannot start beside this one (--array=...%N) will never do it.")


def test_an_error_while_waiting_ends_the_wait() -> None:
    def until() -> bool:
        raise ConfigError("a member has failed")

    with pytest.raises(ConfigError):
        Team().wait(until, "the others", print)


def test_a_member_that_fails_alone_only_leaves() -> None:
    with pytest.raises(SystemExit) as ended:
        Team(1, 4, Kind.ARRAY).abort(65)
    assert ended.value.code == 65


def test_a_fault_of_the_program_leaves_no_rank_waiting(
    monkeypatch: pytest.MonkeyPatch, world: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    aborted: list[int] = []
    world.COMM_WORLD.Abort = aborted.append
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setattr(preprocess_command, "preprocess", lambda *_: 1 / 0)
    with pytest.raises(SystemExit):
        preprocess_command.main(["--input", "a", "--output-prefix", "b", "--tokenizer-model", "c"])
    assert aborted == [1]
    assert "ZeroDivisionError" in capsys.readouterr().err


RANK = """
import os, sys, time
from megakor.corpus.build.team import Team
team = Team.detect(os.environ)
print(team, flush=True)
if team.rank == 0:
    team.abort(65)
team.wait(lambda: False, "nothing", print)
"""


MPIRUN = Path(sys.executable).with_name("mpirun")


@pytest.mark.skipif(not MPIRUN.exists(), reason="mpich is not installed in this environment")
def test_a_rank_of_mpirun_that_fails_ends_the_ranks_that_wait_for_it() -> None:
    pytest.importorskip("mpi4py")
    command = [str(MPIRUN), "-n", "2", sys.executable, "-c", RANK]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 65, ended.stderr
    assert "member 1 of 2 (MPI)" in ended.stdout
