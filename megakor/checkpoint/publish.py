"""What the first rank does for all: the directory before a save, the manifest after it, and room for the next."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from torch.distributed.checkpoint.metadata import Metadata

from megakor.checkpoint.files import FileRecord, write_durably
from megakor.checkpoint.listing import STATE, Checkpoint, checkpoint_directories, tokens_of
from megakor.checkpoint.manifest import MANIFEST, Manifest, write_manifest
from megakor.checkpoint.retention import apply_retention, delete_checkpoint, discard, remove_strays, set_aside
from megakor.checkpoint.table import TABLE, encode_table
from megakor.checkpoint.writer import Written
from megakor.storage import sync_directory

log = logging.getLogger(__name__)

BACKEND = {"sharded_backend": "torch_dist", "sharded_backend_version": 1}
"""What megatron-core looks for in `metadata.json`."""


def prepare(path: Path) -> None:
    """Make a directory for a new checkpoint; the remains of interrupted ones are removed, and nothing else is.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stray in remove_strays(path.parent):
        log.info("%s was left unfinished and was removed.", stray)
    if path.is_symlink():
        raise FileExistsError(errno.EEXIST, f"{os.strerror(errno.EEXIST)}, and is a link", str(path))
    if path.is_dir():
        delete_checkpoint(path)
    path.mkdir(exist_ok=True)


def complete(
    path: Path, manifest: Manifest, parts: Sequence[Written], metadata: Metadata, json_state: bytes
) -> Checkpoint:
    """Write the small files and, when all else is on the disk, the manifest. Raises OSError, StorageError."""
    table = encode_table(metadata, [result for part in parts for result in part.results])
    small = {STATE: json_state, TABLE: table, "metadata.json": json.dumps(BACKEND).encode()}
    files: list[FileRecord] = [file for part in parts for file in part.files]
    files += [write_durably(path / name, data) for name, data in small.items()]
    sync_directory(path)
    manifest = replace(manifest, files=tuple(files))
    write_manifest(path, manifest)
    sync_directory(path.parent)
    return Checkpoint(path, manifest)


def abandon(path: Path) -> None:
    """Give back the room of a checkpoint that could not be finished, as far as a sick disk allows."""
    with contextlib.suppress(OSError):
        (path / MANIFEST).unlink(missing_ok=True)
    discard(path)


def tidy(newest: Path, keep: int, keep_every: int | None, damaged: Collection[Path], pinned: int | None = None) -> None:
    """Set aside damaged checkpoints and those of a future that the run has left; then keep what is to be kept.

    A failure is logged and no more: the new checkpoint is whole.
    """
    directory = newest.parent
    try:
        for path in checkpoint_directories(directory):
            if path != newest and (path in damaged or (tokens_of(path) or 0) > (tokens_of(newest) or 0)):
                set_aside(path)
        for path in apply_retention(directory, keep, keep_every, pinned):
            log.info("Checkpoint %s is no longer kept and was removed.", path.name)
    except OSError as error:
        log.warning("Old checkpoints in %s could not be removed: %s", directory, error)
