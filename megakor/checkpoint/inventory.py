"""Everything that lies in a run's `checkpoints/`, and what it is. Reads and never writes; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Literal

from megakor.checkpoint.base import CHECKPOINTS
from megakor.checkpoint.files import FileRecord
from megakor.checkpoint.listing import (
    SET_ASIDE,
    Checkpoint,
    Verify,
    compare_files,
    foreign_files,
    foreign_paths,
    is_checkpoint_file,
    open_checkpoint,
    our_directories,
    tokens_of,
)
from megakor.checkpoint.manifest import MANIFEST, Manifest
from megakor.errors import DataError, StorageError

State = Literal["whole", "damaged", "unreadable", "unfinished", "set aside", "foreign"]
"""damaged: files are not as the manifest says. unreadable: the manifest cannot be trusted. unfinished: it has none."""
READERS = 8
"""Files that are hashed at the same time: SHA-256 of one file takes one core."""


@dataclass(frozen=True)
class Entry:
    """One name in `checkpoints/`."""

    path: Path
    state: State
    manifest: Manifest | None = None
    damage: tuple[str, ...] = ()
    """One sentence for each file that is missing, cut short or altered."""
    foreign: tuple[str, ...] = ()
    """Names in the directory that belong to no checkpoint."""

    @property
    def tokens(self) -> int | None:
        """By its name; None for what has no name of ours."""
        return None if self.state == "foreign" else tokens_of(self.path)


def checkpoints_of(run: Path) -> Path:
    """The directory of a run's checkpoints. Raises DataError where `run` is no run directory."""
    directory = run / CHECKPOINTS
    if not directory.is_dir():
        raise DataError(f"{run} is not the directory of a run: it has no {CHECKPOINTS}/ in it.")
    return directory


def inventory(directory: Path, how: Verify) -> list[Entry]:
    """All of it: what has the name of a checkpoint by rising tokens, then the rest by name."""
    return [
        *(examine(path, how) for path in our_directories(directory)),
        *(Entry(path, "foreign") for path in foreign_paths(directory)),
    ]


def examine(path: Path, how: Verify) -> Entry:
    """One directory with the name of a checkpoint, or any other that has a manifest.

    Args:
        how: compare sizes only, or read and hash every file.
    """
    if not (path / MANIFEST).exists():
        foreign = tuple(sorted(file.name for file in path.iterdir() if not is_checkpoint_file(file)))
        return Entry(path, "set aside" if (path / SET_ASIDE).exists() else "unfinished", foreign=foreign)
    try:
        checkpoint = open_checkpoint(path)
    except StorageError as error:
        return Entry(path, "unreadable", damage=(str(error),))
    damage = tuple(_compare(checkpoint, checkpoint.manifest.files, how))
    foreign = tuple(foreign_files(checkpoint))
    return Entry(path, "damaged" if damage else "whole", checkpoint.manifest, damage, foreign)


def _compare(checkpoint: Checkpoint, files: Sequence[FileRecord], how: Verify) -> list[str]:
    with ThreadPoolExecutor(min(READERS, cpu_count() or 1)) as readers:
        found = readers.map(lambda file: compare_files(checkpoint, [file], how), files)
        return [sentence for sentences in found for sentence in sentences]
