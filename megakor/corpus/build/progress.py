"""How far a build is, how fast, and whether every worker is well: bars on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from megakor.corpus.build.progress_bars import ProgressBars
from megakor.text_table import aligned
from megakor.units import compact, data_size, duration, percent

LINE_EVERY = 60.0
"""Seconds between two lines where there is no terminal."""
RECENT = 60.0
"""Seconds over which the speed of now and the time left are reckoned."""
SILENT = 60.0
"""Seconds without a word after which a busy worker is pointed at."""
WORKERS_SHOWN = 16
"""Of more workers only the slowest are shown."""


@dataclass
class Work:
    """What one worker, or all of them, have done."""

    tasks: int = 0
    bytes: int = 0
    documents: int = 0
    tokens: int = 0

    def add(self, bytes_: int, documents: int, tokens: int) -> None:
        self.bytes += bytes_
        self.documents += documents
        self.tokens += tokens


@dataclass
class Worker:
    """One worker's work, and when it last spoke."""

    work: Work
    last_word: float
    busy: bool = False
    """Whether it is inside a task; an idle worker may be silent."""


class Progress:
    """Counts what workers report. Use it as a context: leaving it takes the bars off the terminal."""

    def __init__(
        self,
        total_bytes: int,
        workers: int,
        log: Callable[[str], None],
        terminal: bool,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`total_bytes` of input are still to be read. `log` gets lines for people; bars go to `stream`, or stderr."""
        self.total_bytes = total_bytes
        self.all = Work()
        self._log = log
        self._clock = clock
        self._start = self._last_line = clock()
        self.workers = [Worker(Work(), self._start) for _ in range(workers)]
        self._recent: deque[tuple[float, int, int]] = deque([(self._start, 0, 0)])
        self._bars = ProgressBars(self, stream) if terminal else None

    def __enter__(self) -> Progress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, worker: int, bytes_: int, documents: int, tokens: int) -> None:
        """Count what a worker has done since its last word; zeros only say that it is at work."""
        self.workers[worker].last_word = self._clock()
        self.workers[worker].busy = True
        self.workers[worker].work.add(bytes_, documents, tokens)
        self.all.add(bytes_, documents, tokens)
        self.tick()

    def task_done(self, worker: int) -> None:
        """Count a task. The worker is idle until its next word."""
        self.workers[worker].last_word = self._clock()
        self.workers[worker].busy = False
        self.workers[worker].work.tasks += 1
        self.all.tasks += 1

    def tick(self) -> None:
        """Say the line of the minute if it is time. Call it also when no worker has spoken for a while."""
        now = self._clock()
        if now - self._recent[-1][0] >= 1:
            self._recent.append((now, self.all.bytes, self.all.tokens))
        while len(self._recent) > 2 and now - self._recent[1][0] >= RECENT:
            self._recent.popleft()
        if self._bars is None and now - self._last_line >= LINE_EVERY:
            self._last_line = now
            self._log(self.line())

    def finish(self) -> list[str]:
        """The final table: a row for every worker and their sum."""
        header = ["worker", "tasks", "text", "documents", "tokens", "text/s", "tokens/s"]
        shown = self.shown() if len(self.workers) > 1 else []
        rows = [self._row(str(number), self.workers[number].work) for number in shown]
        *lines, last = aligned([header, *rows, self._row("all", self.all)], left=1)
        hidden = len(self.workers) - len(shown)
        return [*lines, *([f"{hidden:,} faster workers are not shown"] if shown and hidden else []), last]

    def line(self) -> str:
        """How far, how fast, how long still, and who is silent."""
        bytes_per_second, tokens_per_second = self.speed()
        parts = [
            percent(self.share()),
            f"{data_size(self.all.bytes)} of {data_size(self.total_bytes)}",
            f"{compact(self.all.documents)} documents",
            f"{data_size(bytes_per_second)}/s",
            f"{compact(tokens_per_second)} tokens/s",
            f"{self.time_left()} left",
            *(f"worker {number} silent for {duration(seconds)}" for number, seconds in self.silent()),
        ]
        return " | ".join(parts)

    def share(self) -> float:
        """Of the input that has been read, from 0 to 1."""
        return min(1.0, self.all.bytes / self.total_bytes) if self.total_bytes else 1.0

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def speed(self) -> tuple[float, float]:
        """Bytes and tokens per second over the last minute."""
        then, bytes_, tokens = self._recent[0]
        seconds = max(self._clock() - then, 1e-9)
        return (self.all.bytes - bytes_) / seconds, (self.all.tokens - tokens) / seconds

    def time_left(self) -> str:
        """At the speed of the last minute."""
        bytes_per_second, _ = self.speed()
        left = max(0, self.total_bytes - self.all.bytes)
        return duration(left / bytes_per_second) if bytes_per_second else "unknown time"

    def silent(self) -> list[tuple[int, float]]:
        """Workers inside a task that ought to have spoken, and for how many seconds they have not."""
        now = self._clock()
        waits = ((number, now - worker.last_word) for number, worker in enumerate(self.workers) if worker.busy)
        return [(number, seconds) for number, seconds in waits if seconds >= SILENT]

    def state(self, number: int) -> str:
        """What a worker does, and when it last said so."""
        worker = self.workers[number]
        return f"heard {duration(self._clock() - worker.last_word)} ago" if worker.busy else "idle"

    def shown(self) -> list[int]:
        """The workers to speak of: those that have done the least, in the order of their numbers."""
        by_work = sorted(range(len(self.workers)), key=lambda number: self.workers[number].work.bytes)
        return sorted(by_work[:WORKERS_SHOWN])

    def _row(self, name: str, work: Work) -> list[str]:
        seconds = max(self.elapsed(), 1e-9)
        return [
            name,
            f"{work.tasks:,}",
            data_size(work.bytes),
            f"{work.documents:,}",
            compact(work.tokens),
            f"{data_size(work.bytes / seconds)}/s",
            compact(work.tokens / seconds),
        ]
