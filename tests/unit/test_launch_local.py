"""Which rank is blamed, and that a run whose rank fails ends with all of its ranks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from megakor.errors import ExitCode, StorageError
from megakor.launch import local


@pytest.mark.parametrize(
    ("codes", "blamed"),
    [
        ([65, 65], 0),
        ([None, -9], 1),
        ([70, -9, 70], 1),
        ([70, 74], 1),
        ([0, 70, None], 1),
        ([1, -11], 1),
    ],
)
def test_the_rank_that_explains_the_others_is_blamed(codes: list[int | None], blamed: int) -> None:
    assert local.first_to_fail(codes) == blamed


def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, ranks: int = 2) -> int:
    """Start ranks that run `program` instead of megakor."""
    script = tmp_path / "rank.py"
    script.write_text(f"import os, signal, sys, time\nrank = int(os.environ['RANK'])\n{program}\n")
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(local.sys, "executable", str(interpreter))
    return local.start_ranks(["pretrain", "x.yaml"], ranks, tmp_path / "logs", threads=1)


def test_ranks_learn_who_they_are_and_only_the_first_writes_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "print(rank, os.environ['WORLD_SIZE'], sys.argv[1:])"
    assert start(monkeypatch, tmp_path, program) == ExitCode.DONE
    assert capfd.readouterr().out == "0 2 ['-m', 'megakor', 'pretrain', 'x.yaml']\n"
    assert (tmp_path / "logs" / "rank-1.log").read_text().startswith("1 2 ")


def test_a_killed_rank_ends_the_run_and_is_named_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = psutil.Process().children()
    program = "os.kill(os.getpid(), signal.SIGKILL) if rank == 1 else time.sleep(300)"
    assert start(monkeypatch, tmp_path, program) == ExitCode.LOST
    assert "rank 1 was killed by SIGKILL" in (err := capfd.readouterr().err)
    assert "logs/rank-1.log" in err
    assert psutil.Process().children() == before


def test_the_code_of_an_error_is_that_of_the_run_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "print('error: bad', file=sys.stderr); sys.exit(65)"
    assert start(monkeypatch, tmp_path, program) == ExitCode.DATA
    assert capfd.readouterr().err == "error: bad\n"


def test_an_error_of_another_rank_alone_is_pointed_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert start(monkeypatch, tmp_path, "sys.exit(74) if rank == 1 else time.sleep(300)") == ExitCode.STORAGE
    assert "rank 1 ended with exit code 74" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.DONE), (signal.SIGUSR1, ExitCode.REQUEUE)], ids=["TERM", "USR1"]
)
def test_a_signal_that_ends_ranks_before_they_hear_it_gives_their_code(
    number: signal.Signals,
    code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    program = f"os.kill({os.getpid()}, {int(number)}) if rank == 1 else None; time.sleep(300)"
    assert start(monkeypatch, tmp_path, program) == code
    assert capfd.readouterr().err.startswith(f"stopped by {number.name} before the run had begun.")


def test_a_rank_that_does_not_end_with_the_others_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "LINGER_SECONDS", 0.2)
    assert start(monkeypatch, tmp_path, "time.sleep(300 * rank)") == ExitCode.LOST
    assert "rank 1 did not end with the others" in capfd.readouterr().err


def test_ranks_that_save_on_a_stop_signal_choose_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = (
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))\n"
        "open(f'ready-{rank}', 'w').close()\n"
        "while not os.path.exists('ready-1'): time.sleep(0.01)\n"
        f"os.kill({os.getpid()}, signal.SIGUSR1) if rank == 0 else None\n"
        "time.sleep(300)"
    )
    monkeypatch.chdir(tmp_path)
    assert start(monkeypatch, tmp_path, program) == ExitCode.REQUEUE


def test_a_log_directory_that_cannot_be_made_is_a_storage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(StorageError, match="logs: cannot be written"):
        start(monkeypatch, tmp_path, "")
