"""Start the ranks of a run on this machine, without torchrun: one process per device, all ended when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from megakor.errors import ExitCode
from megakor.launch.forwarding import Forwarding
from megakor.launch.placement import free_port
from megakor.launch.rank_log import log_path
from megakor.resilience.stop_request import REQUESTS
from megakor.storage import make_directory

GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL for ranks that are left when one has failed: they can save nothing without it."""
TOGETHER_SECONDS = 5.0
"""Within which ranks end that fail for the same reason, on a busy machine, too."""
LINGER_SECONDS = 120.0
"""How much longer than the first rank the others may take to end well."""
AGAIN = " The same command goes on from the newest checkpoint."


def start_ranks(
    arguments: Sequence[str], ranks: int, logs: Path, threads: int, on_listening: Callable[[], None] = lambda: None
) -> int:
    """Run `python -m megakor ARGUMENTS` once per rank and return the exit code of the run.

    Rank 0 writes to this terminal; the others write to LOGS/rank-N.log. Signals are passed on: the ranks know what to
    do. When a rank fails the others get SIGTERM and, after a grace period, SIGKILL: ranks that wait for a dead one
    would otherwise wait for ever.

    Args:
        on_listening: called as soon as signals are passed on, in the place of what has listened to them before.

    Raises:
        StorageError: the logs cannot be written.
    """
    make_directory(logs)
    port = free_port()
    with Forwarding() as forwarding:
        on_listening()
        try:
            for rank in range(ranks):
                _start(forwarding, arguments, rank, ranks, port, logs, threads)
            codes = _wait(forwarding.processes)
        finally:
            _end(forwarding.processes)
    return _report(codes, logs, forwarding.asked)


def _start(
    forwarding: Forwarding, arguments: Sequence[str], rank: int, ranks: int, port: int, logs: Path, threads: int
) -> None:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
    }
    output = None if rank == 0 else open(log_path(logs, rank), "ab")  # noqa: SIM115 - the child keeps it
    forwarding.start(
        [sys.executable, "-m", "megakor", *arguments],
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
    )


def _wait(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """The exit codes when all ranks are done, or soon after the first of them failed."""
    ended: float | None = None
    while True:
        codes = _codes(processes)
        if all(code == 0 for code in codes):
            return codes
        if 0 in codes:
            ended = ended or time.monotonic()
            if time.monotonic() > ended + LINGER_SECONDS:
                return codes
        if any(codes):
            _settle(processes, time.monotonic() + TOGETHER_SECONDS)  # they say so themselves
            return _codes(processes)
        time.sleep(0.05)


def _codes(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    return [process.poll() for process in processes]


def first_to_fail(codes: Sequence[int | None]) -> int:
    """The rank that brought the run down, by the exit codes of all.

    A rank that was killed explains those that miss it; a rank with an error of its own explains those that lost it.

    Args:
        codes: by rank; None for a rank that still runs, below 0 for one that was killed by that signal.
    """

    def order(rank: int) -> tuple[int, int]:
        code = codes[rank] or 0
        return (0 if code < 0 else 1 if code not in (0, ExitCode.LOST) else 2 if code else 3, rank)

    return min(range(len(codes)), key=order)


def _report(codes: Sequence[int | None], logs: Path, asked: Sequence[int]) -> int:
    """Say which rank ended the run, where that is not said already; returns the exit code of the run.

    An error that all ranks met has been told by rank 0. A signal that came before the ranks could hear it has ended
    them; the code is what they would have given.
    """
    rank = first_to_fail(codes)
    code = codes[rank] or ExitCode.DONE
    where = "" if rank == 0 else f" Its last words are in {log_path(logs, rank)}."
    if -code in asked:
        print(f"stopped by {signal.Signals(-code).name} before the run had begun.{AGAIN}", file=sys.stderr)
        return REQUESTS[asked[0]].exit_code
    if code < 0:
        name = signal.Signals(-code).name
        print(f"error: rank {rank} was killed by {name}, so the others were stopped.{where}{AGAIN}", file=sys.stderr)
        return ExitCode.LOST
    if code == 0 and None in codes:
        print(f"error: rank {codes.index(None)} did not end with the others.{AGAIN}", file=sys.stderr)
        return ExitCode.LOST
    if codes[0] != code and code != ExitCode.REQUEUE:
        print(f"error: rank {rank} ended with exit code {code}.{where}{AGAIN}", file=sys.stderr)
    return code


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        if process.poll() is None:
            process.terminate()
    _settle(processes, deadline)
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def _settle(processes: list[subprocess.Popen[bytes]], deadline: float) -> None:
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.05)
