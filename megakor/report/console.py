"""The console: one line a step, and a progress bar under them on a terminal. ASCII only, so that no log breaks."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from megakor.report.measures import Measure
from megakor.report.records import TrainRecord, ValidationRecord, by_language
from megakor.units import compact, duration, percent

if TYPE_CHECKING:
    from rich.progress import Progress

RECENT_STEPS = 20
"""The time left is reckoned from the speed of this many steps."""


class ConsoleOutput:
    """Prints what the loop reports. Without a terminal there is no bar, and every line is plain."""

    def __init__(self, total_tokens: int, every: int, stream: TextIO | None = None) -> None:
        """`every` is the number of steps between two lines; the first and the last step always have one."""
        self._total_tokens = total_tokens
        self._every = every
        self._stream = stream or sys.stdout
        self._recent: deque[TrainRecord] = deque(maxlen=RECENT_STEPS)
        self._progress = _start_progress(self._stream, total_tokens) if self._stream.isatty() else None
        self._is_first_step = True

    def train(self, record: TrainRecord) -> None:
        self._recent.append(record)
        last = record.tokens >= self._total_tokens
        if self._is_first_step or last or record.step % self._every == 0:
            self._print(train_line(record, self._total_tokens, self._tokens_per_second()))
        self._is_first_step = False
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=record.tokens)

    def validation(self, records: Sequence[ValidationRecord]) -> None:
        for line in validation_lines(records):
            self._print(line)

    def measures(self, records: Sequence[Measure]) -> None:
        for words in [record.words() for record in records]:
            if words:
                self._print(words)

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        words = [f"{key} {value}" for key, value in fields.items() if not isinstance(value, Mapping)]
        self._print(" | ".join([name.replace("_", " "), *words]))

    def sync(self) -> None:
        """A log is for people."""

    def close(self) -> None:
        if self._progress is not None:
            with suppress(OSError):
                self._progress.stop()

    def _tokens_per_second(self) -> float:
        return sum(step.batch_tokens for step in self._recent) / sum(step.seconds for step in self._recent)

    def _print(self, line: str) -> None:
        # A closed terminal or a full log disk must not end a run: metrics.jsonl has everything that is printed here.
        with suppress(OSError):
            if self._progress is not None:
                self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, file=self._stream, flush=True)


def train_line(record: TrainRecord, total_tokens: int, recent_tokens_per_second: float) -> str:
    """The line of one step. The time left does not count evaluations and checkpoints."""
    left = duration(max(0, total_tokens - record.tokens) / recent_tokens_per_second)
    mixture = " ".join(f"{language} {share:.0%}" for language, share in sorted(record.language_shares().items()))
    parts = [
        f"step {record.step:>6}",
        f"{compact(record.tokens)}/{compact(total_tokens)} tokens {percent(record.tokens / total_tokens):>6}",
        f"loss {record.loss:.4f}" + (" (skipped)" if record.skipped else ""),
        mixture,
        f"lr {record.lr:.2e}",
        f"grad {record.grad_norm:.3f}",
        f"{compact(record.tokens_per_second)} tok/s",
        "" if record.mfu is None else f"mfu {percent(record.mfu)}",
        f"{left} left",
    ]
    return " | ".join(part for part in parts if part)


def validation_lines(records: Sequence[ValidationRecord]) -> list[str]:
    """A line for every language, and under it one for every source where a language has several."""
    lines = [f"validation at {compact(records[0].tokens)} tokens"]
    for language, mean in by_language(records).items():
        lines.append(f"  {language:<12} {_scores(mean)}")
        sources = [record for record in records if record.language == language]
        if len(sources) > 1:
            lines += [f"    {record.source:<10} {_scores(record)}" for record in sources]
    return lines


def _scores(record: ValidationRecord) -> str:
    return f"{record.loss:8.4f} nats/token  {record.bits_per_byte:7.4f} bits/byte"


def _start_progress(stream: TextIO, total_tokens: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(file=stream))
    progress.add_task("training", total=total_tokens)
    progress.start()
    return progress
