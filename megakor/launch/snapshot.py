"""A launched run keeps the code and the config that it was launched with: a copy of both in the run directory.

    RUN/launch/0001/config.yaml     all settings, those of the command line included
    RUN/launch/0001/code/           this package, what jobs source, and start.py, which runs it

A job that waits in the queue, or is started again, does not see what is edited meanwhile.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import megakor
from megakor.config.load import save_config
from megakor.config.schema import Config
from megakor.storage import make_directory, storage_errors, write_text

DIRECTORY = "launch"
_NUMBER = re.compile(r"\d{4,}")
_START = """\
# Runs the copy of megakor beside this file, from wherever it is called.
import sys

from megakor.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""


@dataclass(frozen=True)
class Snapshot:
    """Where a copy is, or will be."""

    directory: Path
    """Absolute."""

    @property
    def code(self) -> Path:
        """What Python has to find first."""
        return self.directory / "code"

    @property
    def config(self) -> Path:
        """The whole configuration."""
        return self.directory / "config.yaml"

    @property
    def hopper(self) -> Path:
        """Settings of NCCL and CUDA that a job on GPUs sources; only where the source tree has them."""
        return self.code / "slurm" / "hopper.sh"

    def command(self) -> list[str]:
        """What one rank runs."""
        return [sys.executable, str(self.code / "start.py"), "pretrain", str(self.config)]


def next_snapshot(run: Path) -> Snapshot:
    """The place of the next copy; nothing is written."""
    parent = run.absolute() / DIRECTORY
    numbers = [int(path.name) for path in parent.glob("*") if _NUMBER.fullmatch(path.name)]
    return Snapshot(parent / f"{max(numbers, default=0) + 1:04d}")


def source_tree() -> Path:
    """The directory that holds this package; the repository, unless it was installed without it."""
    return Path(megakor.__file__).parents[1]


def hopper_settings() -> Path:
    """The file with settings of NCCL and CUDA, where the source tree has it."""
    return source_tree() / "slurm" / "hopper.sh"


def take_snapshot(snapshot: Snapshot, config: Config) -> None:
    """Copy code and config. The run directory becomes an absolute path, as jobs are started elsewhere.

    Raises:
        StorageError: the run directory cannot be written.
    """
    make_directory(snapshot.code)
    with storage_errors(snapshot.code):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source_tree() / "megakor", snapshot.code / "megakor", ignore=ignore)
        if hopper_settings().is_file():
            make_directory(snapshot.hopper.parent)
            shutil.copyfile(hopper_settings(), snapshot.hopper)
    write_text(snapshot.code / "start.py", _START)
    run = replace(config.run, dir=str(snapshot.directory.parents[1]))
    save_config(replace(config, run=run), snapshot.config)
