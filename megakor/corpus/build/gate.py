"""The gate of a build: one process at a time begins it, takes part in it, or takes its work directory away.

Without it a member that is late could remove, or bring to life again, a directory that others have just begun or
ended. On a file system without locks the gate is always open.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from megakor.corpus.build.team import Team
from megakor.storage import remove, storage_errors

SUFFIX = ".lock"
_HELD = (errno.EAGAIN, errno.EACCES)


@contextmanager
def gate(work: Path, team: Team, log: Callable[[str], None]) -> Iterator[None]:
    """Wait until nobody else is inside the gate of this work directory. Raises StorageError."""
    path = gate_file(work)
    held: list[TextIO] = []

    def is_mine() -> bool:
        with storage_errors(path):
            file = path.open("a")
        if lock_at_once(file) and _is_at(file, path):
            held.append(file)
            return True
        file.close()
        return False

    team.wait(is_mine, f"another process at {path}", log)
    try:
        yield
    finally:
        if not work.exists():
            remove(path)
        held[0].close()


def gate_file(work: Path) -> Path:
    """The file that is locked by who is inside; it goes with the work directory."""
    return work.with_name(work.name + SUFFIX)


def lock_at_once(file: TextIO) -> bool:
    """Lock an open file until it is closed; False if another process has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether the file still has its name: the one before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
