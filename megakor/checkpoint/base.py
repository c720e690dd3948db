"""The checkpoint of another run, to begin from. Needs no torch, so any verb may look."""

from __future__ import annotations

from pathlib import Path

from megakor.checkpoint.listing import Checkpoint, Verify, checkpoint_directories, open_checkpoint, verify_checkpoint
from megakor.checkpoint.manifest import MANIFEST
from megakor.errors import ConfigError, StorageError

CHECKPOINTS = "checkpoints"
"""Directory of them inside a run directory."""


def base_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, or the newest one of the run directory `path`.

    A damaged one is no reason to take an older one in silence: whoever begins from a run means a certain one.

    Raises:
        ConfigError: there is nothing of the kind.
        StorageError: its manifest cannot be trusted.
    """
    if (path / MANIFEST).is_file():
        return open_checkpoint(path)
    if not path.is_dir():
        raise ConfigError(f"run.base: {path} is not there. Name a checkpoint, or the directory of a run that has one.")
    found = checkpoint_directories(path / CHECKPOINTS)
    if not found:
        raise ConfigError(
            f"run.base: {path} is neither a checkpoint nor the directory of a run that has one. "
            f"Name a directory with a {MANIFEST}, or with {CHECKPOINTS}/ in it."
        )
    return open_checkpoint(found[-1])


def verify_base(checkpoint: Checkpoint, how: Verify) -> None:
    """Compare its files with its manifest. Raises StorageError."""
    damage = verify_checkpoint(checkpoint.path, how).damage
    if damage:
        lines = "\n  ".join(damage)
        raise StorageError(
            f"run.base: the checkpoint {checkpoint.path} is damaged:\n  {lines}\n"
            "Name an older checkpoint, or restore this one from a copy."
        )
