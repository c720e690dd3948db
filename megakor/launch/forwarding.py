"""Signals for this process, passed on to those that it has started."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from megakor.launch.local import STOP_SIGNALS


@contextmanager
def passed_on(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """While inside, stop signals go to all of `processes`, which may still grow; gives the list of those that came."""
    asked: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_forwarding(start: Sequence[str], **how: object) -> tuple[int, list[int]]:
    """Run a command to its end: (its return code, the signals that came meanwhile). `how` is for subprocess.Popen."""
    processes: list[subprocess.Popen[bytes]] = []
    with passed_on(processes) as asked:
        processes.append(subprocess.Popen(start, **how))  # type: ignore[call-overload]
        for number in tuple(asked):  # that came before it was there
            processes[0].send_signal(number)
        return processes[0].wait(), asked
