"""The work directory of a build, PREFIX.work: what the build is, which tasks are done, and who is at work."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from megakor.corpus.build.plan import Plan, differences
from megakor.errors import ConfigError, DataError
from megakor.lock import lock_directory
from megakor.storage import make_directory, remove, storage_errors, temporary_name, write_text

RECORD = "job.json"
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

    def mark(self, stage: str, name: str, content: dict[str, Any]) -> None:
        """Say that a task is done. Raises StorageError."""
        write_text(self.marker(stage, name), json.dumps(content, ensure_ascii=False) + "\n")

    def read(self, stage: str, name: str) -> dict[str, Any]:
        """What a marker says. Raises DataError."""
        path = self.marker(stage, name)
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}). Remove {self.directory} and start again.") from error
        return content

    def has_documents(self, stage: str, names: Iterable[str]) -> bool:
        """Whether any task that is done has given a document."""
        return any(self.is_done(stage, name) and any(self.read(stage, name)["documents"].values()) for name in names)

    def hold(self, rank: int, size: int) -> TextIO:
        """Keep other processes from doing the same share. Raises StorageError when one is at it."""
        advice = "Wait for it, or stop it; the same command then goes on from what is done."
        return lock_directory(self.directory, advice, f"lock.{rank}-of-{size}")

    def hold_merge(self) -> TextIO:
        """Only one process puts the shard together. Raises StorageError when another is at it."""
        return lock_directory(self.directory, "It puts the shard together.", "lock.merge")

    def remove(self) -> None:
        """Take the directory away. Raises StorageError."""
        with storage_errors(self.directory):
            shutil.rmtree(self.directory, ignore_errors=True)


def open_job(plan: Plan, overwrite: bool) -> Job:
    """Begin a build, or go on with one; members of a team may do so at the same time.

    Raises:
        ConfigError: the directory is that of a build with other options or inputs.
        StorageError: the directory cannot be written.
    """
    job = Job(plan.work)
    path = plan.work / RECORD
    old = _read_record(path)
    if old is not None and (found := differences(old, plan.record) or _other_tasks(old, plan)):
        if not overwrite:
            raise ConfigError(f"{plan.work} holds the work of a build that differs: {_listed(found)}. {AFRESH}")
        job.remove()
    make_directory(plan.work)
    if not path.exists():
        _create(path, json.dumps({**plan.record, "task_bytes": plan.task_bytes}, ensure_ascii=False))
    return job


def _create(path: Path, text: str) -> None:
    """Write a file whole, unless another process was first."""
    temporary = temporary_name(path)
    try:
        write_text(temporary, text)
        with storage_errors(path), suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        remove(temporary)


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Remove {path.parent} and start again.") from error
    return record


def _other_tasks(old: dict[str, Any], plan: Plan) -> list[str]:
    if old.get("task_bytes") == plan.task_bytes:
        return []
    return [f"--task-megabytes was {old.get('task_bytes', 0) / 1e6:g} and is {plan.task_bytes / 1e6:g}"]


def _listed(found: list[str]) -> str:
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(found[:5]) + more
