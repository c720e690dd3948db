"""Workers: every task is done once, a dead worker is replaced, a task that kills twice ends the build."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from megakor.corpus.build.workers import Silence, work_through
from megakor.errors import DataError, LostError


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers; some numbers kill the worker, once or always, or are bad data."""

    directory: Path

    def start(self) -> Callable[[int, Any], int]:
        return self._double

    def describe(self, task: int) -> str:
        return f"number {task}"

    def _double(self, task: int, report: Callable[[int, int, int, int], None]) -> int:
        report(task, 1, 0, 0)
        mark = self.directory / str(task)
        if task == 13 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if task == 666:
            os.kill(os.getpid(), signal.SIGKILL)
        if task == 404:
            raise DataError("number 404: not found.")
        if task == 500:
            raise ZeroDivisionError
        return 2 * task


class Sums(Silence):
    """Adds up what is reported."""

    def __init__(self) -> None:
        self.bytes = self.tasks = 0

    def update(self, worker: int, bytes_: int, documents: int, text_bytes: int, tokens: int) -> None:
        self.bytes += bytes_

    def task_done(self, worker: int) -> None:
        self.tasks += 1


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_is_done_once_and_reported(tmp_path: Path, workers: int) -> None:
    sums = Sums()
    assert dict(work_through(range(10), Doubling(tmp_path), workers, sums)) == {n: 2 * n for n in range(10)}
    assert (sums.bytes, sums.tasks) == (45, 10)


def test_a_dead_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    assert dict(work_through([13, 1, 2], Doubling(tmp_path), 2, Silence())) == {13: 26, 1: 2, 2: 4}


def test_a_task_that_kills_two_workers_is_named(tmp_path: Path) -> None:
    with pytest.raises(LostError, match=r"number 666: two workers died at it \(killed by SIGKILL"):
        list(work_through([666, 1], Doubling(tmp_path), 2, Silence()))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_users_error_in_a_worker_comes_out_as_it_is(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match="number 404: not found"):
        list(work_through([1, 404], Doubling(tmp_path), workers, Silence()))


def test_a_fault_in_a_worker_is_not_taken_for_a_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(work_through([1, 500], Doubling(tmp_path), 2, Silence()))


ORPHANED = """
import os, time
from contextlib import suppress
from dataclasses import dataclass
from megakor.corpus.build.workers import Silence, work_through

@dataclass(frozen=True)
class Endless:
    def start(self):
        return self.work
    def describe(self, task):
        return "endless"
    def work(self, task, report):
        os.write(1, b"%d\\n" % os.getpid())
        while True:
            time.sleep(0.02)
            report(0, 0, 0, 0)

if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        list(work_through([1, 2], Endless(), 2, Silence()))
"""


def start_endless(directory: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two workers whose tasks never end, and their numbers."""
    (directory / "endless.py").write_text(ORPHANED)
    command = [sys.executable, str(directory / "endless.py")]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


def test_workers_end_inside_their_task_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent, workers = start_endless(tmp_path)
    parent.kill()
    _, errors = parent.communicate(timeout=60)  # the workers hold these pipes too, so they have ended after it
    assert not any(Path(f"/proc/{worker}/cmdline").exists() and is_alive(worker) for worker in workers)
    assert "Traceback" not in errors


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_ctrl_c_is_for_the_parent_alone(tmp_path: Path) -> None:
    parent, _ = start_endless(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=60)
    assert errors == ""
    assert parent.returncode == 0
