"""Finding checkpoints in a directory and comparing one with its manifest. Needs no torch, so any verb may look."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from megakor.checkpoint.files import FileRecord
from megakor.checkpoint.manifest import MANIFEST, Manifest, read_manifest
from megakor.errors import StorageError
from megakor.storage import hash_file

Verify = Literal["hashes", "sizes"]
STATE = "state.json"
SET_ASIDE = "manifest.set-aside.json"
"""The manifest of a checkpoint that no longer counts: it was damaged, or the run has left that future."""
_NAME = re.compile(r"tokens-(\d{12,})")
_FILE = re.compile(
    r"__\d+_\d+\.distcp|\.metadata|metadata\.json|common\.pt|state\.json|manifest(\.set-aside)?\.json|"
    r"\.manifest\.json\..+\.tmp"
)


@dataclass(frozen=True)
class Checkpoint:
    """A directory with a readable manifest. Whether its files agree is another question: `verify_checkpoint`."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.path.name

    @property
    def step(self) -> int:
        """Steps that the run had taken."""
        return self.manifest.step

    @property
    def tokens(self) -> int:
        """Tokens that the run had consumed."""
        return self.manifest.tokens

    def json_state(self) -> dict[str, Any]:
        """What was given to `save` as `json_state`. Raises StorageError."""
        try:
            state = json.loads((self.path / STATE).read_bytes())
        except (OSError, ValueError) as error:
            raise StorageError(f"{self.path / STATE}: cannot be read ({error}).") from error
        if not isinstance(state, dict):
            raise StorageError(f"{self.path / STATE}: holds no JSON object.")
        return state


@dataclass(frozen=True)
class Verdict:
    """What a comparison with the manifest found."""

    damage: tuple[str, ...] = ()
    """One sentence for each file that is missing, cut short or altered. Empty for a whole checkpoint."""
    foreign: tuple[str, ...] = ()
    """Files that the manifest does not name. They are never read."""


def checkpoint_name(tokens: int) -> str:
    """The directory of a checkpoint: names sort as tokens do."""
    return f"tokens-{tokens:012d}"


def tokens_of(path: Path) -> int | None:
    """The tokens in a directory's name, or None when it is no name of ours."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def our_directories(directory: Path) -> list[Path]:
    """Directories with a checkpoint's name, whole or not, oldest first; links and other names are left alone."""
    if not directory.is_dir():
        return []
    found = [(tokens, path) for path in directory.iterdir() if (tokens := tokens_of(path)) is not None]
    return [path for _, path in sorted(found) if path.is_dir() and not path.is_symlink()]


def is_checkpoint_file(path: Path) -> bool:
    """Whether a checkpoint is made of files of this name. Anything else in its directory is somebody's own."""
    return _FILE.fullmatch(path.name) is not None and (path.is_symlink() or not path.is_dir())


def checkpoint_directories(directory: Path) -> list[Path]:
    """Directories that have a manifest, readable or not, oldest first."""
    return [path for path in our_directories(directory) if (path / MANIFEST).is_file()]


def unfinished_directories(directory: Path) -> list[Path]:
    """Directories of ours that a kill in the middle of a save or of a deletion has left, oldest first."""
    manifests = (MANIFEST, SET_ASIDE)
    return [path for path in our_directories(directory) if not any((path / name).exists() for name in manifests)]


def foreign_paths(directory: Path) -> list[Path]:
    """What lies between checkpoints and has not the name of one, or is a link. It is never read or deleted."""
    if not directory.is_dir():
        return []
    ours = set(our_directories(directory))
    return sorted(path for path in directory.iterdir() if path not in ours)


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's manifest. Raises StorageError when there is none or when it cannot be trusted."""
    manifest = read_manifest(path)
    if tokens_of(path) not in (manifest.tokens, None):
        raise StorageError(
            f"{path}: the manifest says {manifest.tokens:,} tokens; the directory was renamed or mixed up."
        )
    return Checkpoint(path, manifest)


def list_checkpoints(directory: Path) -> list[Checkpoint]:
    """Checkpoints whose manifest can be read, oldest first."""
    found = []
    for path in checkpoint_directories(directory):
        try:
            found.append(open_checkpoint(path))
        except StorageError:
            continue
    return found


def verify_checkpoint(path: Path, how: Verify = "hashes") -> Verdict:
    """Compare all files of a checkpoint with its manifest, in this one process."""
    try:
        checkpoint = open_checkpoint(path)
    except StorageError as error:
        return Verdict(damage=(str(error),))
    return Verdict(tuple(compare_files(checkpoint, checkpoint.manifest.files, how)), tuple(foreign_files(checkpoint)))


def compare_files(checkpoint: Checkpoint, files: Iterable[FileRecord], how: Verify) -> list[str]:
    """One sentence for each of `files` that is not as the manifest says."""
    problems = (_compare(checkpoint.path / file.name, file, how) for file in files)
    return [problem for problem in problems if problem]


def foreign_files(checkpoint: Checkpoint) -> list[str]:
    """Names in the directory that the manifest does not know."""
    known = {MANIFEST, *(file.name for file in checkpoint.manifest.files)}
    return sorted(path.name for path in checkpoint.path.iterdir() if path.name not in known)


def _compare(path: Path, file: FileRecord, how: Verify) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{path}: is no file, but a directory, a pipe or a device."
        size = status.st_size
        if size != file.bytes:
            return f"{path}: {size:,} bytes, the manifest says {file.bytes:,}."
        if how == "hashes" and hash_file(path) != file.sha256:
            return f"{path}: its content has changed since it was written (SHA-256 differs)."
    except FileNotFoundError:
        return f"{path}: is missing."
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})."
    return None
