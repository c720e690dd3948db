"""One log a rank: rank 0 writes to the terminal or the log of the job, the others to files of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from megakor.storage import make_directory, storage_errors


def log_path(logs: Path, rank: int) -> Path:
    """Where a rank other than 0 writes."""
    return logs / f"rank-{rank}.log"


def write_to_rank_log(logs: Path, rank: int) -> None:
    """Send everything that this process prints from now on, its libraries included, to the log of its rank.

    Raises:
        StorageError: the log cannot be written.
    """
    make_directory(logs)
    path = log_path(logs, rank)
    with storage_errors(path):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    os.close(log)
