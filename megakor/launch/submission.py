"""Which job a run was last launched as: RUN/launch/submission.json."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from megakor.errors import DataError
from megakor.launch.snapshot import DIRECTORY
from megakor.storage import make_directory, write_text

_FILE = "submission.json"


@dataclass(frozen=True)
class Submission:
    """What `megakor launch` submitted."""

    executor: str
    """slurm or local."""
    job: str
    """Of Slurm; of a local run the process that watches its ranks."""
    host: str
    log: str
    """Of the first rank."""
    time: float
    """Seconds since 1970."""

    @classmethod
    def now(cls, executor: str, job: str, log: Path) -> Submission:
        """Submitted by this machine at this moment."""
        return cls(executor, job, platform.node(), str(log), time.time())

    def write(self, run: Path) -> None:
        """Raises StorageError."""
        make_directory(run / DIRECTORY)
        write_text(run / DIRECTORY / _FILE, json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def of(cls, run: Path) -> Submission | None:
        """The latest one of a run; None for one that was started otherwise.

        Raises:
            DataError: the file is damaged.
        """
        path = run / DIRECTORY / _FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: cannot be read ({error}). Remove it.") from error
