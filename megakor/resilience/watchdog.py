"""A thread that ends a rank whose run makes no progress, after it has said where it is and who holds it up."""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from megakor.errors import ExitCode
from megakor.resilience.heartbeats import Beat, Heartbeats, blame
from megakor.resilience.progress import Progress

LONGEST_PERIOD, SHORTEST_PERIOD = 10.0, 0.2
"""Seconds between two beats: a tenth of the shortest time that a phase may take, within these limits."""
LOOK_AGAIN = 4
"""Beats after which a rank that has not moved is taken for silent."""


class Watchdog:
    """Use it as a context around a run.

    Time during which this very process was stopped, or its machine asleep, does not count against the others.

    Args:
        progress: of this rank; the main thread writes it.
        logs: where stacks are written, and in `heartbeats/` signs of life; shared by all ranks.
        shortest: the shortest time, in seconds, that a phase may take.
    """

    def __init__(self, progress: Progress, logs: Path, rank: int, size: int, shortest: float) -> None:
        self.on_hang: Callable[[str], None] = lambda words: None
        """Called with who is to blame, on the first rank that still answers, before it ends."""
        self._progress = progress
        self._logs = logs
        self._rank = rank
        self._size = size
        self._period = min(LONGEST_PERIOD, max(SHORTEST_PERIOD, shortest / 10))
        self._heartbeats = Heartbeats(logs / "heartbeats")
        self._beats = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def dump_stacks(self) -> None:
        """Append the stacks of all threads of this process to logs/stacks-rank-N.txt."""
        try:
            with (self._logs / f"stacks-rank-{self._rank}.txt").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} on {platform.node()}, {self._where()}\n")
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError:
            faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)

    def _watch(self) -> None:
        idle, marks, looked = 0.0, self._progress.marks, time.monotonic()
        while not self._over.wait(self._period):
            now = time.monotonic()
            idle, looked = idle + min(now - looked, 2 * self._period), now
            if self._progress.marks != marks:
                idle, marks = 0.0, self._progress.marks
            self._beat()
            if idle > self._progress.allowed_seconds() or self._heartbeats.alarmed():
                self._give_up(idle)

    def _beat(self) -> None:
        self._beats += 1
        progress = self._progress
        self._heartbeats.write(
            Beat(self._rank, platform.node(), self._beats, progress.marks, progress.phase, progress.tokens)
        )

    def _give_up(self, idle: float) -> None:
        """All ranks that still can dump their stacks before the first of them ends, which would end the others."""
        self._heartbeats.raise_alarm()
        self.dump_stacks()
        before = self._heartbeats.read(self._size)
        for _ in range(LOOK_AGAIN):
            time.sleep(self._period)
            self._beat()
        after = self._heartbeats.read(self._size)
        speaker = min(rank for rank in (*after, self._rank) if rank == self._rank or before.get(rank) != after[rank])
        if speaker == self._rank:
            found = blame(before, after, self._size)
            try:
                self.on_hang(found)
            finally:
                words = (
                    f"error: no progress for {idle:.0f} s in the {self._where()}: {found}. The stacks of all ranks are "
                    f"in {self._logs}/stacks-rank-N.txt. The same command goes on from the newest checkpoint.\n"
                )
                os.write(2, words.encode())
        os._exit(ExitCode.LOST)

    def _where(self) -> str:
        return f"phase '{self._progress.phase}' at {self._progress.tokens:,} tokens"
