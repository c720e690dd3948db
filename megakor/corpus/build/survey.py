"""Which sentences of held-out documents occur in training too: found before anything is encoded, task by task.

First every portion writes the hashes of its held-out sentences, then each is searched for those in training text.
Memory: 8 bytes for every different held-out sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.build.encode import Report
from megakor.corpus.build.plan import Task
from megakor.corpus.build.settings import EncodingSettings
from megakor.corpus.build.text_steps import TRAINING, VALIDATION, Losses, by_role, kept_documents
from megakor.corpus.fields.expression import parse
from megakor.corpus.holdout import sentence_hashes
from megakor.corpus.inputs.cutting import hash_portion
from megakor.corpus.inputs.reading import read_portion
from megakor.errors import DataError
from megakor.storage import publish, storage_errors, sync_file, temporary_name

HELD, KNOWN = "held", "known"
"""The two stages."""


@dataclass(frozen=True)
class Survey:
    """Work of one stage: see `megakor.corpus.build.workers`."""

    settings: EncodingSettings
    stage: str
    held: tuple[str, ...] = ()
    """Names of all tasks, whose held-out sentences the second stage looks for."""

    def start(self) -> Callable[[Task, Report], dict[str, Any]]:
        """For the second stage this reads what the first has found."""
        known = load_hashes(self.settings.directory, HELD, self.held) if self.stage == KNOWN else None
        return lambda task, report: self._survey(task, report, known)

    def describe(self, task: Task) -> str:
        """The input."""
        return task.portion.place

    def _survey(self, task: Task, report: Report, known: np.ndarray | None) -> dict[str, Any]:
        role = VALIDATION if known is None else TRAINING
        found: list[np.ndarray] = []
        where = parse(self.settings.rules.where) if self.settings.rules.where else None
        for records in read_portion(task.portion, self.settings.fields):
            documents = kept_documents(records, self.settings.rules, where, Losses())
            hashes = _hashes(by_role(documents, self.settings.holdout, (), Losses())[role].texts)
            found.append(hashes if known is None else _shared(hashes, known))
            report(records.bytes_read, 0, 0, 0)
        _save(_path(self.settings.directory, self.stage, task.name), _union(found))
        return {"pieces": hash_portion(task.portion)}


def load_hashes(directory: Path, stage: str, names: Iterable[str]) -> np.ndarray:
    """All hashes that the tasks of a stage have found, uint64, ascending. Raises DataError."""
    return _union([_load(_path(directory, stage, name)) for name in names])


def _hashes(texts: Iterable[str]) -> np.ndarray:
    return np.array(sorted(set().union(*map(sentence_hashes, texts))), dtype=np.uint64)


def _shared(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Those that are among the known ones, which ascend."""
    places = np.searchsorted(known, hashes)
    inside = places < len(known)
    return hashes[inside][known[places[inside]] == hashes[inside]]


def _union(parts: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def _path(directory: Path, stage: str, name: str) -> Path:
    return directory / f"{stage}.{name}.hashes"


def _save(path: Path, hashes: np.ndarray) -> None:
    temporary = temporary_name(path)
    with storage_errors(path):
        hashes.tofile(temporary)
        sync_file(temporary)
    publish(temporary, path)


def _load(path: Path) -> np.ndarray:
    try:
        return np.fromfile(path, np.uint64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}). Remove {path.parent} and start again.") from error
