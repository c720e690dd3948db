"""Signs of life, and who is to blame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from megakor.resilience.heartbeats import Beat, Heartbeats, blame
from megakor.resilience.progress import CHECKPOINT, START, STEP, Progress
from megakor.resilience.stragglers import spread


def beats(marks: list[int], number: int = 1) -> dict[int, Beat]:
    return {rank: Beat(rank, f"node{rank // 2}", number, mark, "step", 4096) for rank, mark in enumerate(marks)}


def moved(before: dict[int, Beat], *silent: int) -> dict[int, Beat]:
    return {rank: beat if rank in silent else replace(beat, beats=beat.beats + 3) for rank, beat in before.items()}


@pytest.mark.parametrize(
    ("marks", "silent", "words"),
    [
        ([7, 7, 7, 7], [2], "rank 2 (node1) does not answer, last seen in the phase 'step' at 4,096 tokens"),
        ([7, 7, 6, 7], [1, 3], "ranks 1 (node0), 3 (node1) do not answer"),
        ([7, 7, 6, 7], [], "rank 2 (node1) has come less far than the others"),
        ([7, 6, 6, 7], [], "ranks 1 (node0), 2 (node1) have come less far"),
        ([7, 7, 7, 7], [], "all ranks answer"),
    ],
)
def test_the_silent_are_blamed_then_the_slow(marks: list[int], silent: list[int], words: str) -> None:
    before = beats(marks)
    assert words in blame(before, moved(before, *silent), len(marks))


def test_a_rank_that_never_said_anything_is_silent() -> None:
    before = beats([7, 7])
    assert "rank 2 does not answer" in blame(before, moved(before), 3)


def test_beats_are_read_as_they_were_written_and_earlier_attempts_are_forgotten(tmp_path: Path) -> None:
    heartbeats = Heartbeats(tmp_path / "heartbeats")
    heartbeats.clear()
    long, short = Beat(0, "a-rather-long-name-of-a-node", 10**6, 10**9, "checkpoint", 10**12), Beat(0, "a", 1, 1, "", 0)
    for beat in (long, short):
        heartbeats.write(beat)
        assert heartbeats.read(2) == {0: beat}
    assert not heartbeats.alarmed()
    heartbeats.raise_alarm()
    assert heartbeats.alarmed()
    heartbeats.clear()
    assert not heartbeats.alarmed() and heartbeats.read(1) == {}


def test_a_sick_disk_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    heartbeats = Heartbeats(tmp_path / "file" / "heartbeats")
    heartbeats.clear()
    heartbeats.write(Beat(0, "a", 1, 1, "step", 0))
    heartbeats.raise_alarm()
    assert heartbeats.read(1) == {} and not heartbeats.alarmed()


def test_a_phase_may_take_its_floor_or_many_times_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("megakor.resilience.progress.time.monotonic", lambda: now[0])
    progress = Progress({START: 100.0, STEP: 3.0, CHECKPOINT: 30.0}, factor=10)
    now[0] = 50.0
    progress.enter(STEP)
    assert progress.allowed_seconds() == 3
    now[0] = 52.0
    progress.mark(1024)
    assert (progress.allowed_seconds(), progress.tokens) == (20, 1024)
    with progress.during(CHECKPOINT):
        assert progress.allowed_seconds() == 30
        now[0] = 92.0
    assert (progress.phase, progress.allowed_seconds()) == (STEP, 20)


def test_slow_ranks_are_named_the_slowest_first() -> None:
    times = spread(50, 4096, [1.0, 1.1, 2.0, 1.0, 3.0], 1.5)
    assert times.stragglers == pytest.approx({"4": 3 / 1.1, "2": 2 / 1.1})
    assert (times.median, times.slowest, times.slowest_rank) == (1.1, 3.0, 4)
    assert "rank 4 2.73 times the median, rank 2 1.82 times" in times.words()
    assert spread(50, 4096, [1.0, 1.1], 1.5).words() == ""
