from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.build.progress import WORKERS_SHOWN, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plain(clock: Clock, workers: int = 2, total: int = 1_000_000_000) -> tuple[Progress, list[str]]:
    lines: list[str] = []
    return Progress(total, 10, workers, lines.append, terminal=False, clock=clock), lines


def test_without_a_terminal_there_is_one_line_a_minute(clock: Clock) -> None:
    progress, lines = plain(clock)
    for _ in range(600):
        clock.now += 0.5
        progress.update(0, 1_000_000, 10, 800_000, 250_000)
    assert len(lines) == 5
    assert lines[0] == (
        "12.0 % | 120 MB of 1.00 GB read | 1.20K documents | 1.60 MB/s of text | 500K tokens/s | 7m20s left"
    )


def test_the_line_of_the_minute_comes_though_every_worker_is_silent(clock: Clock) -> None:
    progress, lines = plain(clock)
    progress.update(1, 1_000_000, 10, 1, 1)
    clock.now += 90
    progress.tick()
    assert len(lines) == 1
    assert lines[0].endswith("| worker 1 silent for 1m30s")
    clock.now += 60
    progress.tick()
    assert "0 B/s" in lines[1]
    assert "unknown time left" in lines[1]


def test_a_worker_without_a_task_may_be_silent(clock: Clock) -> None:
    progress, _ = plain(clock)
    progress.update(0, 1, 1, 1, 1)
    progress.task_done(0)
    progress.update(1, 0, 0, 0, 0)
    clock.now += 100
    assert progress.silent() == [(1, 100)]
    assert progress.state(0) == "idle"


def test_speed_is_that_of_the_last_minute(clock: Clock) -> None:
    progress, _ = plain(clock)
    for megabytes in [1] * 300 + [5] * 61:
        clock.now += 1
        progress.update(0, megabytes * 1_000_000, 0, megabytes * 10, megabytes)
    assert progress.speed() == (5_000_000, 50, 5)


@given(st.lists(st.tuples(st.integers(0, 2), *[st.integers(0, 10**9)] * 4)))
def test_the_sum_is_the_sum_of_the_workers(words: list[tuple[int, int, int, int, int]]) -> None:
    progress, _ = plain(Clock(), workers=3)
    for worker, *work in words:
        progress.update(worker, *work)
        progress.task_done(worker)
    for name in ("tasks", "bytes", "documents", "text_bytes", "tokens"):
        assert getattr(progress.all, name) == sum(getattr(worker.work, name) for worker in progress.workers)
    assert 0 <= progress.share() <= 1


def test_the_final_table_has_a_row_for_every_worker_that_did_something_and_their_sum(clock: Clock) -> None:
    progress, _ = plain(clock, workers=32)
    progress.update(0, 30_000_000, 1_000, 24_000_000, 9_000_000)
    progress.update(1, 10_000_000, 500, 8_000_000, 3_000_000)
    progress.task_done(0)
    clock.now += 10
    assert progress.finish() == [
        "worker  tasks     read  documents     text  tokens     text/s  tokens/s",
        "0           1  30.0 MB      1,000  24.0 MB   9.00M  2.40 MB/s      900K",
        "1           0  10.0 MB        500  8.00 MB   3.00M   800 kB/s      300K",
        "all         1  40.0 MB      1,500  32.0 MB   12.0M  3.20 MB/s     1.20M",
    ]


def test_of_many_workers_the_slowest_are_shown(clock: Clock) -> None:
    progress, _ = plain(clock, workers=64)
    for number in range(64):
        progress.update(number, 1_000 * (64 - number), 1, 1, 1)
    clock.now += 1
    table = progress.finish()
    assert [row.split()[0] for row in table[1:-2]] == [str(number) for number in range(64 - WORKERS_SHOWN, 64)]
    assert table[-2] == "48 faster workers are not shown"


def test_nothing_to_read_is_no_division_by_nothing(clock: Clock) -> None:
    progress, _ = plain(clock, workers=1, total=0)
    assert progress.line().startswith("0.0 % | 0 of 10 tasks")
    assert progress.finish()[-1].startswith("all")


def test_a_terminal_shows_a_bar_and_every_worker_and_is_clean_afterwards(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    lines: list[str] = []
    with Progress(1_000_000, 5, 2, lines.append, terminal=True, stream=stream, clock=clock) as progress:
        clock.now += 10
        progress.update(0, 500_000, 10, 500_000, 250_000)
        progress.update(1, 0, 0, 0, 0)
        clock.now += 120
        progress.tick()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "50.0 %" in shown
    assert "500 kB of 1.00 MB read" in shown
    assert re.search(r"worker 1 +0 tasks.*silent for 2m00s", shown)
    assert lines == [], "a terminal gets bars, not lines"


def test_a_dataset_that_is_streamed_has_no_bytes_but_tasks(clock: Clock) -> None:
    progress, _ = plain(clock, total=0)
    progress.update(0, 0, 5, 1_000, 300)
    progress.task_done(0)
    clock.now += 1
    assert progress.line().startswith("10.0 % | 1 of 10 tasks | 5 documents | 1.00 kB/s of text")
    assert progress.finish()[0].split() == ["worker", "tasks", "documents", "text", "tokens", "text/s", "tokens/s"]
