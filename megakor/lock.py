"""One directory, one user at a time: two processes that write into the same place would mix their files."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from megakor.errors import StorageError
from megakor.storage import make_directory, storage_errors

NAME = "lock"
_HOLDER = "process "
_TEXT = re.compile(r"process (\d+) on ([^\s,]+)(?:, Slurm job (\d+)(?: of array (\d+))?)?")


@dataclass(frozen=True)
class Holder:
    """Who holds a directory, or did when it was last in use."""

    process: int
    host: str
    slurm_job: str = ""
    slurm_array: str = ""

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        job, array = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_ARRAY_JOB_ID", "")
        return cls(os.getpid(), platform.node(), job, array if job else "")

    @classmethod
    def of(cls, directory: Path, name: str = NAME) -> Holder | None:
        """The latest one; None where there was none, or its words cannot be read."""
        try:
            match = _TEXT.match((directory / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return None
        return None if match is None else cls(int(match[1]), match[2], match[3] or "", match[4] or "")

    def __str__(self) -> str:
        array = f" of array {self.slurm_array}" if self.slurm_array else ""
        job = f", Slurm job {self.slurm_job}{array}" if self.slurm_job else ""
        return f"{_HOLDER}{self.process} on {self.host}{job}"


def lock_directory(directory: Path, advice: str, name: str = NAME) -> TextIO:
    """Hold the directory until the file that is returned is closed or the process ends, however it ends.

    A file system without locks (some network ones) is taken as it is. `advice` says what to do while another holds it.

    Raises:
        StorageError: another process holds it; says which.
    """
    make_directory(directory)
    path = directory / name
    with storage_errors(path):
        file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return file
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise StorageError(f"{directory} is in use by {holder}. {advice}") from error
    # On a full disk the directory is held all the same; only by whom cannot be told. Whoever makes room has to hold it.
    with suppress(OSError):
        file.truncate(0)
        file.write(f"{Holder.here()}\n")
        file.flush()
    return file


def is_lock(path: Path) -> bool:
    """Whether a file is one that `lock_directory` left; a loss of power may have emptied it. Raises OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HOLDER)) in (b"", _HOLDER.encode("ascii"))
