"""Workers: every task is done once, a dead worker is replaced, a task that kills twice ends the build."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from megakor.corpus.build.workers import Silence, work_through
from megakor.errors import DataError


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers; some numbers kill the worker, once or always, or are bad data."""

    directory: Path

    def start(self) -> Callable[[int, Any], int]:
        return self._double

    def describe(self, task: int) -> str:
        return f"number {task}"

    def _double(self, task: int, report: Callable[[int, int, int], None]) -> int:
        report(task, 1, 0)
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

    def update(self, worker: int, bytes_: int, documents: int, tokens: int) -> None:
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
    with pytest.raises(DataError, match=r"number 666: two workers died at it \(killed by SIGKILL"):
        list(work_through([666, 1], Doubling(tmp_path), 2, Silence()))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_users_error_in_a_worker_comes_out_as_it_is(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match="number 404: not found"):
        list(work_through([1, 404], Doubling(tmp_path), workers, Silence()))


def test_a_fault_in_a_worker_is_not_taken_for_a_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(work_through([1, 500], Doubling(tmp_path), 2, Silence()))
