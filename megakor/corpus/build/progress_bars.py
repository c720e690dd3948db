"""The progress of a build on a terminal: a bar, and under it how every worker does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from megakor.units import counted, data_size, duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from megakor.corpus.build.progress import Progress

REFRESHES_PER_SECOND = 2
BAR_WIDTH = 30


class ProgressBars:
    """Drawn again twice a second by a thread of its own, so that a silent worker is seen while it is silent."""

    def __init__(self, progress: Progress, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._live = Live(
            get_renderable=self.picture,
            console=Console(file=stream or sys.stderr),
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def start(self) -> None:
        """Draw from now on; lines printed meanwhile appear above."""
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Take the bars away."""
        self._live.stop()

    def picture(self) -> RenderableType:
        """What stands on the terminal now."""
        from rich.console import Group

        return Group(self._total(), self._workers())

    def _total(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        progress = self._progress
        row = Table.grid(padding=(0, 2))
        row.add_row(
            ProgressBar(total=1.0, completed=progress.share(), width=BAR_WIDTH),
            *progress.stand(),
            *progress.speeds(),
            f"{progress.time_left()} left",
        )
        return row

    def _workers(self) -> RenderableType:
        from rich.table import Table

        progress = self._progress
        seconds = max(progress.elapsed(), 1e-9)
        silent = dict(progress.silent())
        rows = Table.grid(padding=(0, 2))
        for number in progress.shown():
            work = progress.workers[number].work
            rows.add_row(
                f"worker {number}",
                counted(work.tasks, "task"),
                data_size(work.text_bytes),
                f"{data_size(work.text_bytes / seconds)}/s",
                f"silent for {duration(silent[number])}" if number in silent else progress.state(number),
                style="red" if number in silent else None,
            )
        return rows
