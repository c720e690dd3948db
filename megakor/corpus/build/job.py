"""The work directory of a build, PREFIX.work: what the build is, which tasks are done, and who is at work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from megakor.corpus.build.gate import gate_file, lock_at_once
from megakor.corpus.build.plan import Plan, differences
from megakor.errors import ConfigError, DataError, StorageError
from megakor.lock import lock_directory
from megakor.storage import make_directory, remove, storage_errors, sync_directory, write_text

RECORD = "job.json"
WORK_FORMAT = 2
"""Changes with what the files of a work directory mean."""
AFRESH = "Give --overwrite to build it afresh, or choose another --output-prefix."


class Job:
    """Markers are small JSON files, written when everything they speak of is on the disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def marker(self, stage: str, name: str) -> Path:
        """Path of a task's marker."""
        return self.directory / f"{stage}.{name}.json"

    def is_done(self, stage: str, name: str) -> bool:
        """Whether a task is done."""
        return self.marker(stage, name).exists()

    def all_done(self, stage: str, names: Iterable[str]) -> bool:
        """Whether all these tasks are done."""
        return all(self.is_done(stage, name) for name in names)

    def has_begun(self) -> bool:
        """Whether any task of any stage is done."""
        return any(self.directory.glob("*.*.json"))

    def mark(self, stage: str, name: str, content: dict[str, Any]) -> None:
        """Say that a task is done. Raises StorageError."""
        write_text(self.marker(stage, name), json.dumps(content, ensure_ascii=False) + "\n")

    def unmark(self, stage: str, name: str) -> None:
        """Have a task done again. Raises StorageError."""
        with storage_errors(self.directory):
            self.marker(stage, name).unlink(missing_ok=True)

    def read(self, stage: str, name: str) -> dict[str, Any]:
        """What a marker says. Raises DataError."""
        path = self.marker(stage, name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(path, error) from error
        if not isinstance(content, dict):
            raise _damaged(path, "it is no marker")
        return content

    def has_documents(self, stage: str, names: Iterable[str]) -> bool:
        """Whether any task that is done has given a document; a marker that does not say so may have."""
        done = (self.read(stage, name).get("documents") for name in names if self.is_done(stage, name))
        return any(not isinstance(documents, dict) or any(documents.values()) for documents in done)

    def hold(self, rank: int, size: int) -> TextIO:
        """Keep other processes from doing the same share. Raises StorageError when one is at it."""
        advice = "Wait for it, or stop it; the same command then goes on from what is done."
        return lock_directory(self.directory, advice, f"lock.{rank}-of-{size}")

    def hold_merge(self) -> TextIO:
        """Only one process puts the shard together. Raises StorageError when another is at it."""
        return lock_directory(self.directory, "It puts the shard together.", "lock.merge")

    def is_left(self, locks: str = "lock.*-of-*") -> bool:
        """Whether no process is at its share any more (or holds any lock of a pattern)."""
        return all(_is_free(path) for path in self.directory.glob(locks))

    def remove(self) -> None:
        """Take the directory away, all of it at one moment: what is left of it is never taken for work to go on with.

        Raises StorageError.
        """
        removed = _removed(self.directory)
        with storage_errors(self.directory), suppress(FileNotFoundError):
            shutil.rmtree(removed, ignore_errors=True)
            self.directory.rename(removed)
            sync_directory(removed.parent)
        shutil.rmtree(removed, ignore_errors=True)


def open_job(plan: Plan, overwrite: bool) -> Job:
    """Begin a build, or go on with one. Call it inside the gate.

    Raises:
        ConfigError: the directory is that of a build with other options or inputs.
        StorageError: the directory cannot be written, or is to be overwritten while another build is at work there.
    """
    job = Job(plan.work)
    path = plan.work / RECORD
    if plan.work.is_symlink():
        raise ConfigError(f"{plan.work} is a link: a build moves its work directory and needs it beside the shard.")
    remove_leftovers(plan.work)
    old = _read_record(path)
    if old is None:
        _refuse_foreign(plan.work)
    if old is not None and (found := differences(old, plan.record) or _other_tasks(old, plan)):
        if not overwrite:
            raise ConfigError(f"{plan.work} holds the work of a build that differs: {_listed(found)}. {AFRESH}")
        if not job.is_left("lock.*"):
            raise StorageError(f"{plan.work} is in use by a build that differs. Wait for it, or stop it.")
        job.remove()
    make_directory(plan.work)
    if not path.exists():
        write_text(path, json.dumps({**plan.record, **_ways(plan)}, ensure_ascii=False))
    if job.is_left("lock.*"):
        for left in plan.work.glob(".*.tmp"):  # of processes that were killed
            remove(left)
    return job


def has_leftovers(work: Path) -> bool:
    """Of a finished build: whether a process was killed while it took the work directory away, or is at it."""
    return _removed(work).exists() or gate_file(work).exists()


def remove_leftovers(work: Path) -> None:
    """Call it inside the gate, which removes its own file."""
    shutil.rmtree(_removed(work), ignore_errors=True)


def _removed(directory: Path) -> Path:
    """The name of a directory that is being taken away."""
    return directory.with_name(f"{directory.name}.removed")


def _refuse_foreign(directory: Path) -> None:
    """Raises ConfigError for a directory with content that no build has begun."""
    with storage_errors(directory):
        there = list(directory.iterdir()) if directory.exists() else []
    found = [path.name for path in there if path.suffix != ".tmp" and not path.name.startswith("lock.")]
    if found:
        raise ConfigError(
            f"{directory} holds {found[0]} and no {RECORD}: it is not the work directory of a build, or a damaged one. "
            "Move or remove it, or choose another --output-prefix."
        )


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            return lock_at_once(file)
    except FileNotFoundError:
        return True
    except PermissionError:  # somebody else's, who may well be at work
        return False


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not (isinstance(record, dict) and isinstance(record.get("options"), dict) and _are_sizes(record.get("inputs"))):
        raise _damaged(path, "it does not describe a build")
    return record


def _are_sizes(inputs: Any) -> bool:
    return isinstance(inputs, list) and all(isinstance(entry, list) and len(entry) == 2 for entry in inputs)


def _damaged(path: Path, why: object) -> DataError:
    return DataError(f"{path}: cannot be read ({why}). Remove {path.parent} and start again.")


def _ways(plan: Plan) -> dict[str, int]:
    """What must be the same for work to be gone on with, though it does not change the shard."""
    return {"task_bytes": plan.task_bytes, "work_format": WORK_FORMAT}


def _other_tasks(old: dict[str, Any], plan: Plan) -> list[str]:
    if old.get("work_format") != WORK_FORMAT:
        return ["another version of megakor began it"]
    if old.get("task_bytes") == plan.task_bytes:
        return []
    before = f"{old.get('task_bytes', 0) / 1e6:.12g}"
    is_now = f"--task-megabytes was {before} and is {plan.task_bytes / 1e6:.12g}"
    return [f"{is_now} (--task-megabytes {before} goes on from what is done)"]


def _listed(found: list[str]) -> str:
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(found[:5]) + more
