"""Which checkpoints stay, and how the others go. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from megakor.checkpoint.listing import SET_ASIDE, checkpoint_directories, is_checkpoint_file, our_directories, tokens_of
from megakor.checkpoint.manifest import MANIFEST
from megakor.storage import sync_directory


def expired(tokens: Sequence[int], keep: int, keep_every: int | None, pinned: int | None = None) -> list[int]:
    """Of checkpoints at these token counts, those that may go, oldest first.

    The newest `keep` stay (0: all of them), and so does the first checkpoint at or after each multiple of `keep_every`,
    and the one at `pinned` tokens.
    """
    ordered = sorted(set(tokens))
    if keep == 0:
        return []
    stay = {*ordered[-keep:], *(_milestones(ordered, keep_every) if keep_every else ()), pinned}
    return [count for count in ordered if count not in stay]


def apply_retention(directory: Path, keep: int, keep_every: int | None, pinned: int | None = None) -> list[Path]:
    """Delete expired checkpoints and return their paths. Raises OSError."""
    by_tokens = {tokens_of(path) or 0: path for path in checkpoint_directories(directory)}
    gone = [by_tokens[tokens] for tokens in expired(list(by_tokens), keep, keep_every, pinned)]
    for path in gone:
        delete_checkpoint(path)
    return gone


def delete_checkpoint(path: Path) -> list[str]:
    """Delete the files of a checkpoint, and its directory if that is empty then.

    The manifest goes first: what is left of an interrupted deletion is no checkpoint.

    Returns:
        Names of what stays: files that no checkpoint has, and what could not be deleted.

    Raises:
        OSError: the manifest cannot be deleted, so everything is as it was.
    """
    (path / MANIFEST).unlink(missing_ok=True)
    sync_directory(path)
    return discard(path)


def discard(path: Path) -> list[str]:
    """Delete what a checkpoint without a manifest is made of, as far as a sick disk allows; returns what stays."""
    with suppress(OSError):
        for file in path.iterdir():
            if is_checkpoint_file(file):
                with suppress(OSError):
                    file.unlink()
        path.rmdir()
    with suppress(OSError):
        return sorted(file.name for file in path.iterdir())
    return []


def set_aside(path: Path) -> None:
    """Give the manifest another name: no checkpoint any more, and not a byte deleted. Raises OSError."""
    (path / MANIFEST).replace(path / SET_ASIDE)
    sync_directory(path)


def remove_strays(directory: Path) -> list[Path]:
    """Delete our directories that have no manifest and are older than the newest one that has; returns them.

    A kill in the middle of a save or of a deletion leaves them, or they were set aside and have been passed since.
    """
    whole = checkpoint_directories(directory)
    if not whole:
        return []
    newest = tokens_of(whole[-1]) or 0
    strays = [path for path in our_directories(directory) if path not in whole and (tokens_of(path) or 0) < newest]
    for path in strays:
        # A stray that cannot be removed costs room, not correctness.
        discard(path)
    return [path for path in strays if not path.exists()]


def _milestones(ordered: Sequence[int], keep_every: int) -> list[int]:
    """The first count at or after each multiple: the first of every interval that starts at a multiple."""
    first: dict[int, int] = {}
    for tokens in ordered:
        if tokens >= keep_every:
            first.setdefault(tokens // keep_every, tokens)
    return list(first.values())
