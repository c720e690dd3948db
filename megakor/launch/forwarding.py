"""Signals for this process, passed on to those that it has started."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType, TracebackType

from megakor.resilience.stop_request import REQUESTS

STOP_SIGNALS = tuple(REQUESTS)


class Forwarding:
    """Use it as a context: while inside, stop signals go to all processes that it has started, those that start later
    included."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.asked: list[int] = []
        """The signals that came, in their order."""

    def start(self, words: Sequence[str], **how: object) -> subprocess.Popen[bytes]:
        """Start a process; `how` is for subprocess.Popen."""
        process: subprocess.Popen[bytes] = subprocess.Popen(words, **how)  # type: ignore[call-overload]
        self.processes.append(process)
        for number in tuple(self.asked):  # that came before it was there; one that it hears twice changes nothing
            process.send_signal(number)
        return process

    def __enter__(self) -> Forwarding:
        self._before = {number: signal.signal(number, self._pass_on) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.asked.append(number)
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)


def run_forwarding(start: Sequence[str], **how: object) -> tuple[int, list[int]]:
    """Run a command to its end: (its return code, the signals that came meanwhile). `how` is for subprocess.Popen."""
    with Forwarding() as forwarding:
        return forwarding.start(start, **how).wait(), forwarding.asked
