"""Which checkpoints of a run go when somebody asks for room, and why each of the others stays. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from megakor.checkpoint.inventory import Entry, examine, inventory
from megakor.checkpoint.listing import Checkpoint, Verify
from megakor.checkpoint.retention import delete_checkpoint, expired
from megakor.config.quantities import format_tokens
from megakor.errors import StorageError
from megakor.storage import storage_errors


@dataclass(frozen=True)
class Fate:
    """What becomes of one name in `checkpoints/`."""

    entry: Entry
    goes: bool
    why: str


@dataclass(frozen=True)
class Rules:
    """What is kept, as `checkpoint.keep` and `checkpoint.keep_every` say it."""

    keep: int
    keep_every: int | None = None
    pin_period: bool = False
    """Also the checkpoint that distances of weights are measured from."""


def fates(directory: Path, rules: Rules, how: Verify) -> list[Fate]:
    """What a pruning does, by rising tokens. Nothing is deleted here.

    The newest whole checkpoint always stays; it is looked for with `how`, the others are compared by their sizes.

    Raises:
        StorageError: no checkpoint is whole, so nothing may go.
    """
    entries = inventory(directory, "sizes")
    newest = _newest_whole(entries, how)
    entries = [examine(entry.path, how) if _is_newer(entry, newest) else entry for entry in entries]
    pinned = _pinned(newest) if rules.pin_period else None
    whole = [entry.tokens for entry in entries if entry.state == "whole" and entry.tokens is not None]
    gone = [tokens for tokens in expired(whole, rules.keep, rules.keep_every, pinned) if tokens != newest.tokens]
    return [_fate(entry, newest, gone, pinned, rules) for entry in entries]


def prune(planned: Sequence[Fate]) -> list[Fate]:
    """Delete what is to go. Returns those of which something stays, such as files that no checkpoint has.

    Raises:
        StorageError: the storage refuses.
    """
    kept = []
    for fate in planned:
        if fate.goes:
            with storage_errors(fate.entry.path):
                if left := delete_checkpoint(fate.entry.path):
                    kept.append(replace(fate, why=f"not deleted: {', '.join(left)}"))
    return kept


def _newest_whole(entries: Sequence[Entry], how: Verify) -> Entry:
    for entry in reversed(entries):
        if entry.state == "whole" and (how == "sizes" or examine(entry.path, how).state == "whole"):
            return entry
    raise StorageError("no checkpoint of this run is whole, so none is deleted (megakor checkpoint verify RUN).")


def _is_newer(entry: Entry, newest: Entry) -> bool:
    return (entry.tokens or -1) > (newest.tokens or 0)


def _pinned(newest: Entry) -> int | None:
    assert newest.manifest is not None
    state = Checkpoint(newest.path, newest.manifest).json_state()
    try:
        return state["measuring"]["period"]["first"] or None
    except (KeyError, TypeError):
        return None


def _fate(entry: Entry, newest: Entry, gone: list[int], pinned: int | None, rules: Rules) -> Fate:
    if entry.state == "foreign":
        return Fate(entry, False, "no checkpoint")
    if entry.state == "unreadable":
        return Fate(entry, False, "its manifest cannot be read, so it may be anybody's")
    if entry.state == "whole":
        if entry.tokens in gone:
            return Fate(entry, True, _expired_because(rules))
        return Fate(entry, False, _kept_because(entry, newest, pinned, rules))
    if entry.state == "unfinished":
        return Fate(entry, True, "unfinished: it never counts")  # the run is locked, so nobody is writing it
    if _is_newer(entry, newest):
        return Fate(entry, False, f"{entry.state}, and newer than the newest whole one")
    return Fate(entry, True, f"{entry.state}, and older than the newest whole one")


def _expired_because(rules: Rules) -> str:
    every = f", and not the first after a multiple of {format_tokens(rules.keep_every)}" if rules.keep_every else ""
    return f"not one of the newest {rules.keep}{every}"


def _kept_because(entry: Entry, newest: Entry, pinned: int | None, rules: Rules) -> str:
    if entry.path == newest.path:
        return "the newest whole one"
    if entry.tokens == pinned:
        return "weights are measured from it"
    return "kept" if rules.keep else "keep is 0: all are kept"
