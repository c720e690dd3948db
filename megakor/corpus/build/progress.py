"""How far a build is, how fast, and whether every worker is well: bars on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TextIO

from megakor.corpus.build.progress_bars import ProgressBars
from megakor.text_table import aligned
from megakor.units import compact, counted, data_size, duration, percent

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
    """Of the input; a dataset that is streamed has none."""
    documents: int = 0
    text_bytes: int = 0
    """UTF-8 bytes of the documents that were encoded."""
    tokens: int = 0

    def add(self, bytes_: int, documents: int, text_bytes: int, tokens: int) -> None:
        self.bytes += bytes_
        self.documents += documents
        self.text_bytes += text_bytes
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
        tasks: int,
        workers: int,
        log: Callable[[str], None],
        terminal: bool,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`total_bytes` of input in `tasks` are still to be read, by so many workers.

        `log` gets lines for people; bars go to `stream`, or stderr.
        """
        self.total_bytes, self.tasks = total_bytes, tasks
        self.all = Work()
        self._log = log
        self._clock = clock
        self._start = self._last_line = clock()
        self.workers = [Worker(Work(), self._start) for _ in range(workers)]
        self._recent: deque[tuple[float, Work]] = deque([(self._start, Work())])
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

    def update(self, worker: int, bytes_: int, documents: int, text_bytes: int, tokens: int) -> None:
        """Count what a worker has done since its last word; zeros only say that it is at work."""
        self.workers[worker].last_word = self._clock()
        self.workers[worker].busy = True
        self.workers[worker].work.add(bytes_, documents, text_bytes, tokens)
        self.all.add(bytes_, documents, text_bytes, tokens)
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
            self._recent.append((now, replace(self.all)))
        while len(self._recent) > 2 and now - self._recent[1][0] >= RECENT:
            self._recent.popleft()
        if self._bars is None and now - self._last_line >= LINE_EVERY:
            self._last_line = now
            self._log(self.line())

    def finish(self) -> list[str]:
        """The final table: a row for every worker that did something, and their sum."""
        header = ["worker", "tasks", "read", "documents", "text", "tokens", "text/s", "tokens/s"]
        active = [number for number, worker in enumerate(self.workers) if worker.work != Work()]
        shown = self._slowest(active) if len(active) > 1 else []
        rows = [self._row(str(number), self.workers[number].work) for number in shown]
        table = [header, *rows, self._row("all", self.all)]
        if not self.total_bytes:
            table = [[cell for number, cell in enumerate(row) if number != header.index("read")] for row in table]
        *lines, last = aligned(table, left=1)
        hidden = len(active) - len(shown)
        return [*lines, *([f"{hidden:,} faster workers are not shown"] if shown and hidden else []), last]

    def line(self) -> str:
        """How far, how fast, how long still, and who is silent."""
        parts = [
            *self.stand(),
            f"{compact(self.all.documents)} documents",
            *self.speeds(),
            f"{self.time_left()} left",
            *(f"worker {number} silent for {duration(seconds)}" for number, seconds in self.silent()),
        ]
        return " | ".join(parts)

    def stand(self) -> list[str]:
        """How far: of the bytes of the input, or of the tasks where they have none."""
        if self.total_bytes:
            return [percent(self.share()), f"{data_size(self.all.bytes)} of {data_size(self.total_bytes)} read"]
        return [percent(self.share()), f"{self.all.tasks:,} of {counted(self.tasks, 'task')}"]

    def speeds(self) -> list[str]:
        """Of text and tokens now; of the input in a stage that encodes nothing."""
        read, text, tokens = self.speed()
        if not self.all.documents:
            return [f"{data_size(read)}/s read"]
        return [f"{data_size(text)}/s of text", f"{compact(tokens)} tokens/s"]

    def share(self) -> float:
        """Of the input that has been read, from 0 to 1."""
        done, whole = (self.all.bytes, self.total_bytes) if self.total_bytes else (self.all.tasks, self.tasks)
        return min(1.0, done / whole) if whole else 1.0

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def speed(self) -> tuple[float, float, float]:
        """Bytes of input, bytes of text and tokens per second over the last minute."""
        since, then = self._recent[0]
        seconds = max(self._clock() - since, 1e-9)
        return (
            (self.all.bytes - then.bytes) / seconds,
            (self.all.text_bytes - then.text_bytes) / seconds,
            (self.all.tokens - then.tokens) / seconds,
        )

    def time_left(self) -> str:
        """At the speed of the last minute."""
        bytes_per_second = self.speed()[0]
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
        return self._slowest(range(len(self.workers)))

    def _slowest(self, numbers: Iterable[int]) -> list[int]:
        by_work = sorted(numbers, key=lambda number: (self._done(number), number))
        return sorted(by_work[:WORKERS_SHOWN])

    def _done(self, number: int) -> int:
        work = self.workers[number].work
        return work.bytes if self.total_bytes else work.text_bytes

    def _row(self, name: str, work: Work) -> list[str]:
        seconds = max(self.elapsed(), 1e-9)
        return [
            name,
            f"{work.tasks:,}",
            data_size(work.bytes),
            f"{work.documents:,}",
            data_size(work.text_bytes),
            compact(work.tokens),
            f"{data_size(work.text_bytes / seconds)}/s",
            compact(work.tokens / seconds),
        ]
