"""`megakor tensorboard`: the real TensorBoard on chosen runs, for this machine alone unless told otherwise."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tensorboard.data import server_ingester
from tensorboard.program import TensorBoard, TensorBoardServerException

from megakor.errors import DataError, HardwareError

EVENTS = "tensorboard"
"""Where a run directory has its event files."""
LOOPBACK = "127.0.0.1"
POINTS = 5000
"""Points of a curve that TensorBoard keeps; of a longer run it draws so many, with the newest one among them."""


def watch(runs: Sequence[Path], host: str = LOOPBACK, port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Prints where, and how to look from another machine.

    Args:
        runs: run directories, or directories of runs.
        port: 0 takes any free one. Default: 6006, or one of the next where that is in use.

    Raises:
        DataError: there is no such directory, or none of them has event files yet.
        HardwareError: the address cannot be served.
    """
    with _side_by_side(runs) as directory:
        url = _serve(directory, host, port)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        print(_directions(url, host), flush=True)
        stop.wait()


@contextmanager
def _side_by_side(runs: Sequence[Path]) -> Iterator[Path]:
    """A directory that has nothing but these runs, under their names. TensorBoard's own way to name several runs
    (`--logdir_spec`) cannot have commas and colons in a path."""
    places = {_name(run, runs): _events_of(run) for run in runs}
    if not any(path.is_file() for place in places.values() for path in place.rglob("*tfevents*")):
        raise DataError(
            f"{', '.join(map(str, runs))}: no event files yet. A run writes them from its start on, unless "
            "report.tensorboard is false."
        )
    with TemporaryDirectory(prefix="megakor-tensorboard-") as directory:
        for name, place in places.items():
            Path(directory, name).symlink_to(place)
        yield Path(directory)


def _events_of(run: Path) -> Path:
    if not run.is_dir():
        raise DataError(f"{run} is not there. Name the directory of a run, or one that holds runs.")
    events = run.resolve() / EVENTS
    return events if events.is_dir() else run.resolve()


def _name(run: Path, runs: Sequence[Path]) -> str:
    """Its own name, or its whole path where another one is called the same."""
    name = run.resolve().name
    same = {other.resolve() for other in runs if other.resolve().name == name}
    return name if len(same) == 1 else str(run.resolve()).strip("/").replace("/", "__")


def _serve(directory: Path, host: str, port: int | None) -> str:
    """Starts a server in a thread; its address."""
    server = TensorBoard()
    server.configure(
        logdir=str(directory),
        host=host,
        port=port,
        load_fast=_fast_loading(),
        samples_per_plugin={"scalars": POINTS},
    )
    try:
        return str(server.launch())
    except (TensorBoardServerException, OSError) as error:
        reason = getattr(error, "msg", str(error)).partition("\n")[0]
        raise HardwareError(f"TensorBoard cannot serve on {host}: {reason} Choose another --port or --host.") from error


def _fast_loading() -> str:
    """TensorBoard's loader in a process of its own, where its package has one for this machine."""
    try:
        server_ingester.get_server_binary()
    except server_ingester.NoDataServerError:
        return "false"
    return "true"


def _directions(url: str, host: str) -> str:
    port = url.rstrip("/").rpartition(":")[2]
    lines = [f"TensorBoard is at {url} until Ctrl-C."]
    if is_loopback(host):
        lines.append("Only this machine can reach it. From another one:")
        lines.append(f"    ssh -N -L {port}:{LOOPBACK}:{port} {socket.gethostname()}")
        lines.append(f"and open http://localhost:{port}/ there.")
    else:
        print(
            f"warning: whoever can reach {host} can read these runs. TensorBoard asks for no password.", file=sys.stderr
        )
    return "\n".join(lines)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from its own machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
