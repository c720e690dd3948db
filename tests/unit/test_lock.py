"""A directory belongs to one user at a time."""

import os
from pathlib import Path

import pytest

from megakor.errors import StorageError
from megakor.lock import lock_directory

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
