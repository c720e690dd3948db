"""Reads whole inputs through portions, for the tests of the readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from megakor.corpus.inputs.cutting import TaskSizes, cut
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import BATCH_DOCUMENTS, Fields, Portion, Problem


@dataclass
class Read:
    """All that the portions of an input gave, in order."""

    positions: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    metadata: dict[str, list[Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    bytes_read: int = 0


def read_all(path: Path | str, fields: Fields | None = None, task_bytes: int = 1 << 30) -> Read:
    """Every document of one input; checks what holds for all readers."""
    (file,) = list_inputs([path])
    read, fields = Read(), fields or Fields()
    read.metadata = {name: [] for name in fields.metadata}
    for portion in cut(3, file, TaskSizes(task_bytes)):
        assert portion.file == 3
        before = read.bytes_read
        for records in read_portion(portion, fields):
            assert len(records.texts) == len(records.positions) <= BATCH_DOCUMENTS
            assert records.metadata.keys() == read.metadata.keys() or not records.texts
            read.positions += records.positions
            read.texts += records.texts
            read.problems += records.problems
            read.bytes_read += records.bytes_read
            for name, values in records.metadata.items():
                assert len(values) == len(records.texts)
                read.metadata[name] += values
        assert read.bytes_read - before == portion.byte_stop - portion.byte_start
    assert read.positions == sorted(set(read.positions))
    assert read.bytes_read == file.bytes
    return read


def portions_of(path: Path | str, task_bytes: int = 1 << 30) -> list[Portion]:
    """How one input is cut."""
    return cut(0, list_inputs([path])[0], TaskSizes(task_bytes))
