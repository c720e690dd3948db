"""Which checkpoint a run resumes from: the newest whole one, chosen by the first rank and checked by all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from megakor.checkpoint.files import FileRecord
from megakor.checkpoint.listing import (
    Checkpoint,
    Verify,
    checkpoint_directories,
    checkpoint_name,
    compare_files,
    foreign_files,
    foreign_paths,
    open_checkpoint,
    tokens_of,
    unfinished_directories,
)
from megakor.checkpoint.manifest import MANIFEST, Manifest
from megakor.checkpoint.ranks import Ranks
from megakor.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What a resume found: the checkpoint, and the newer ones it had to pass over, each with what is wrong."""

    checkpoint: Checkpoint
    skipped: dict[Path, tuple[str, ...]]


def log_passed_over(path: Path, why: tuple[str, ...]) -> None:
    """Say what a resume does not use."""
    log.warning("%s is passed over:\n  %s", path.name, "\n  ".join(why))


def find_newest(
    directory: Path,
    ranks: Ranks,
    *,
    verify: Verify,
    accept: Callable[[str, Manifest], None] = lambda name, manifest: None,
    tell: Callable[[Path, tuple[str, ...]], None] = log_passed_over,
) -> Choice | None:
    """The newest checkpoint whose files agree with its manifest; None where there is none. Collective.

    Args:
        verify: compare sizes only, or read and hash every file (each once, shared out over the ranks).
        accept: raises when a checkpoint is whole but not of this run; asked before its files are read.
        tell: called on the first rank with everything newer that is not used, and why. Where there is no checkpoint,
            with everything else that lies there: somebody may have taken it for one.

    Raises:
        StorageError: there are checkpoints and all of them are damaged.
    """
    skipped: dict[Path, tuple[str, ...]] = {}
    for path in ranks.first(f"Looking for checkpoints in {directory}", lambda: checkpoint_directories(directory)[::-1]):
        opened = ranks.first(f"Opening {path}", partial(_open, path))
        if isinstance(opened, str):
            damage: tuple[str, ...] = (opened,)
        else:
            accept(opened.name, opened.manifest)
            damage = _damage(opened, ranks, verify)
            if not damage:
                ranks.first(f"Looking into {directory}", partial(_tell_unfinished, directory, opened.tokens, tell))
                return Choice(opened, skipped)
        skipped[path] = damage
        if ranks.is_first:
            tell(path, damage)
    if skipped:
        lines = "\n  ".join(sentence for damage in skipped.values() for sentence in damage)
        raise StorageError(
            f"{directory}: every checkpoint is damaged, so the run cannot resume:\n  {lines}\n"
            "Restore one from a copy, or start again with another run.dir."
        )
    ranks.first(f"Looking into {directory}", partial(_tell_foreign, directory, tell))
    return None


def find_at(directory: Path, tokens: int, ranks: Ranks, verify: Verify) -> Checkpoint | None:
    """The checkpoint at these tokens, if it is there and whole. Collective."""
    path = directory / checkpoint_name(tokens)
    opened = ranks.first(f"Opening {path}", partial(_open, path))
    if isinstance(opened, str) or _damage(opened, ranks, verify):
        return None
    return opened


def shares(files: tuple[FileRecord, ...], ranks: int) -> list[list[FileRecord]]:
    """Share files out so that the ranks read about as many bytes each: the largest first, to whoever has least."""
    parts: list[list[FileRecord]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for file in sorted(files, key=lambda file: (-file.bytes, file.name)):
        least = loads.index(min(loads))
        parts[least].append(file)
        loads[least] += file.bytes
    return parts


def _tell_unfinished(directory: Path, tokens: int, tell: Callable[[Path, tuple[str, ...]], None]) -> None:
    for path in unfinished_directories(directory):
        if (tokens_of(path) or 0) > tokens:
            tell(path, (f"{path}: was left unfinished; it has no {MANIFEST}.",))


def _tell_foreign(directory: Path, tell: Callable[[Path, tuple[str, ...]], None]) -> None:
    _tell_unfinished(directory, -1, tell)
    for path in foreign_paths(directory):
        tell(path, (f"{path}: is no checkpoint of MegaKor, and is left alone.",))


def _open(path: Path) -> Checkpoint | str:
    try:
        checkpoint = open_checkpoint(path)
    except StorageError as error:
        return str(error)
    if foreign := foreign_files(checkpoint):
        log.warning(
            "Checkpoint %s holds files its manifest does not name; they are not read: %s", path.name, ", ".join(foreign)
        )
    return checkpoint


def _damage(checkpoint: Checkpoint, ranks: Ranks, verify: Verify) -> tuple[str, ...]:
    mine = shares(checkpoint.manifest.files, ranks.size)[ranks.rank]
    return tuple(sentence for part in ranks.gather(compare_files(checkpoint, mine, verify)) for sentence in part)
