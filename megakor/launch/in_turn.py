"""Several runs on this machine, one after another. A cluster would be given the same list of commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from megakor.errors import ExitCode
from megakor.launch.forwarding import run_forwarding
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
        KeyboardInterrupt: this process was asked to stop; the run has been stopped, too. Where it was asked to make
            room for a while, it has saved, and its code says so.
    """
    make_directory(command.log.parent)
    with storage_errors(command.log):
        log = command.log.open("ab")
    words = [sys.executable, "-m", "megakor", *command.arguments]
    with log:
        code, asked = run_forwarding(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    if asked and code != ExitCode.REQUEUE:
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
