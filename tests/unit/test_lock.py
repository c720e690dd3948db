"""A directory belongs to one user at a time."""

import os
from pathlib import Path

import pytest

from megakor.errors import StorageError
from megakor.lock import Holder, lock_directory

ADVICE = "Stop that run, or set another run.dir."


def test_a_second_start_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with (
        lock_directory(tmp_path, ADVICE),
        pytest.raises(StorageError, match=rf"in use by process {os.getpid()} on .*another run\.dir"),
    ):
        lock_directory(tmp_path, ADVICE)


def test_the_directory_is_free_when_the_run_is_over(tmp_path: Path) -> None:
    lock_directory(tmp_path, ADVICE).close()
    lock_directory(tmp_path, ADVICE).close()


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        lock_directory(tmp_path / "file" / "run", ADVICE)


def test_whoever_held_a_directory_last_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Holder.of(tmp_path) is None
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    lock_directory(tmp_path, ADVICE).close()
    assert Holder.of(tmp_path) == Holder.here()
    assert str(Holder.of(tmp_path)).endswith(", Slurm job 41 of array 40")
    monkeypatch.delenv("SLURM_JOB_ID")
    lock_directory(tmp_path, ADVICE).close()
    assert Holder.of(tmp_path) == Holder(os.getpid(), Holder.here().host)
    (tmp_path / "lock").write_text("who knows")
    assert Holder.of(tmp_path) is None
