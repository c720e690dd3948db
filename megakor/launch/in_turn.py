"""Several runs on this machine, one after another. A cluster would be given the same list of commands."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from megakor.launch.local import STOP_SIGNALS
from megakor.storage import make_directory, storage_errors

LAST_LINES = 5


@dataclass(frozen=True)
class Command:
    """One run: what to start, and where its output goes."""

    name: str
    arguments: tuple[str, ...]
    """Of `megakor`. The same ones go on where the run stopped."""
    log: Path

    @property
    def text(self) -> str:
        """As it is typed."""
        return " ".join(["megakor", *self.arguments])


def run_command(command: Command) -> int:
    """Run it to its end; returns its exit code, above 128 where a signal ended it. Signals are passed on.

    Raises:
        StorageError: the log cannot be written.
        KeyboardInterrupt: this process was asked to stop; the run has been stopped, too.
    """
    make_directory(command.log.parent)
    with storage_errors(command.log):
        log = command.log.open("ab")
    asked: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        with log:
            words = [sys.executable, "-m", "megakor", *command.arguments]
            processes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))
            if asked:
                processes[0].terminate()
            code = processes[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code


def last_words(log: Path) -> Sequence[str]:
    """The error that a log ends with, or else its last lines."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    begins = [index for index, line in enumerate(lines) if line.startswith("error:")]
    return lines[begins[-1] :] if begins else lines[-LAST_LINES:]
