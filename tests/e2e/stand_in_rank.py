"""A rank that trains nothing: it answers signals as megakor's do, says that it is there, and writes the manifest of a
checkpoint at every start, so that tests of jobs need not wait for torch. Usage: stand_in_rank.py RUN"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType


def main(run: Path) -> None:
    """Wait for a signal, or for the file `lost` that stands for a connection that breaks."""
    rank, start = os.environ["SLURM_PROCID"], os.environ.get("SLURM_RESTART_COUNT", "0")
    for number, code in {signal.SIGUSR1: 75, signal.SIGUSR2: 75, signal.SIGTERM: 0}.items():
        signal.signal(number, _leave_with(code))
    if rank == "0":
        checkpoint = run / "checkpoints" / f"tokens-{time.time_ns():020d}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "manifest.json").touch()
    (run / f"up-{start}-{rank}").write_text(str(os.getpid()))
    while not (run / "lost").exists():
        time.sleep(0.1)
    os._exit(70)


def _leave_with(code: int) -> signal.Handlers:
    def leave(number: int, frame: FrameType | None) -> None:
        time.sleep(0.5)  # saving; a signal may come twice meanwhile
        os._exit(code)

    return leave  # type: ignore[return-value]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
