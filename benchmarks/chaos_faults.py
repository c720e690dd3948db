"""What is done to the run of chaos.py: kinds and moments of faults, and how each is brought about."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from chaos_run import SAVE_EVERY, ChaosRun

KINDS = ("kill one", "kill all", "SIGTERM", "SIGUSR1", "damaged checkpoint", "full disk", "stalled rank")
MOMENTS = ("step", "start", "load", "save", "evaluation")
OFF_STEP = MOMENTS[1:]
MOST_STEPS = SAVE_EVERY + 2
"""Of an attempt, before a fault in the middle of training."""
DISK = "48m"
BALLAST = "ballast"


@dataclass(frozen=True)
class Fault:
    """One of them, as it was drawn."""

    kind: str
    moment: str
    steps: int
    """Of this attempt before it, where it strikes a step."""
    seconds: float
    """After the command, where it strikes the start."""
    rank: int
    dice: float
    """For what else has to be chosen, 0 to 1."""


@dataclass(frozen=True)
class Outcome:
    """How the attempt ended."""

    at: float
    """When the fault struck, seconds since 1970."""
    code: int
    earlier: tuple[int, ...] = ()
    """Codes of attempts that ended by themselves before the moment had come: a watchdog that was too strict."""


def draw_faults(dice: random.Random, count: int, full_disk: bool) -> list[Fault]:
    """Every kind about as often as the others, every moment too, in an order of chance."""
    kinds = [kind for kind in KINDS if full_disk or kind != "full disk"]
    drawn_kinds = [kinds[index % len(kinds)] for index in range(count)]
    drawn_moments = [MOMENTS[index % len(MOMENTS)] for index in range(count)]
    dice.shuffle(drawn_kinds)
    dice.shuffle(drawn_moments)
    # Ranks that have not met yet wait ten minutes for one that is stopped: longer than this is to take.
    pairs = [
        (kind, "load" if (kind, moment) == ("stalled rank", "start") else moment)
        for kind, moment in zip(drawn_kinds, drawn_moments, strict=True)
    ]
    return [
        Fault(kind, moment, dice.randint(1, MOST_STEPS), dice.uniform(0.2, 3.0), dice.randint(0, 1), dice.random())
        for kind, moment in pairs
    ]


def strike(run: ChaosRun, fault: Fault, disk: Disk) -> Outcome:
    """Start an attempt, wait for the moment, do it, and wait for the end of the attempt."""
    earlier: list[int] = []
    while True:
        run.start()
        if run.wait_until(_moment(run, fault)):
            break
        earlier.append(run.ended())
        assert earlier[-1], "the run has come to its end before all faults"
    at = time.time()
    if fault.kind == "kill one":
        _to_rank(run, fault.rank, signal.SIGKILL)
    elif fault.kind in ("kill all", "damaged checkpoint"):
        run.kill_all()
    elif fault.kind == "stalled rank":
        _to_rank(run, fault.rank, signal.SIGSTOP)
    elif fault.kind == "full disk":
        disk.fill()
    else:
        run.starter_signal(signal.SIGTERM if fault.kind == "SIGTERM" else signal.SIGUSR1)
    code = run.ended()
    disk.empty()
    if fault.kind == "damaged checkpoint":
        damage_newest(run.path / "checkpoints", fault.dice)
    return Outcome(at, code, tuple(earlier))


def _moment(run: ChaosRun, fault: Fault) -> Callable[[], bool]:
    if fault.moment == "start":
        begins = time.monotonic() + fault.seconds
        return lambda: time.monotonic() >= begins
    attempts, trained = run.count(b'"name": "hardware"'), run.steps_made()
    if fault.moment == "load":
        return lambda: run.count(b'"name": "hardware"') > attempts
    if fault.moment == "save":
        begun = time.time()
        return lambda: _saves(run.path / "checkpoints", begun)
    if fault.moment == "evaluation":
        told = run.count(b'"kind": "validation"')
        return lambda: run.steps_made() > trained and run.count(b'"kind": "validation"') > told
    return lambda: run.steps_made() >= trained + fault.steps


def _saves(checkpoints: Path, begun: float) -> bool:
    """Whether an attempt is writing a checkpoint; half of another one may be there, or one that was set aside."""
    for path in checkpoints.glob("tokens-*"):
        with suppress(FileNotFoundError):
            if path.stat().st_ctime > begun and not list(path.glob("manifest*")):
                return True
    return False


def _to_rank(run: ChaosRun, rank: int, number: signal.Signals) -> None:
    """To the rank, or to all where it has not been started yet."""
    process = run.rank(rank)
    if process is not None:
        process.send_signal(number)
    else:
        run.kill_all()


def damage_newest(checkpoints: Path, dice: float) -> None:
    """Cut, change or remove a file of the newest checkpoint, unless it is the only one."""
    whole = sorted(path.parent for path in checkpoints.glob("tokens-*/manifest.json"))
    if len(whole) < 2:
        return
    files = sorted(path for path in whole[-1].iterdir() if path.is_file())
    path = files[int(dice * len(files))]
    content = bytearray(path.read_bytes())
    how = int(dice * 1000) % 3
    if how == 0:
        path.unlink()
    elif how == 1 or not content:
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)


class Disk:
    """A small file system for the run directory, where one may be mounted. Use it as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mounted = False
        self.why_not = ""

    def __enter__(self) -> Disk:
        self.path.mkdir(parents=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(self.path)]
        ended = subprocess.run(words, capture_output=True, text=True)
        self.mounted, self.why_not = ended.returncode == 0, ended.stderr.strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)

    def fill(self) -> None:
        """Take all room that is left."""
        with (self.path / BALLAST).open("wb") as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while True:
                        os.write(file.fileno(), bytes(size))
                except OSError:
                    continue

    def empty(self) -> None:
        """Give it back."""
        (self.path / BALLAST).unlink(missing_ok=True)
