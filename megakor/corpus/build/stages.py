"""The stages of a build as work for `megakor.corpus.build.workers`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megakor.corpus.build.encode import Report, TaskResult, encode_portion
from megakor.corpus.build.merge import Bucket, Merge, merge_bucket
from megakor.corpus.build.plan import Task
from megakor.corpus.build.settings import EncodingSettings
from megakor.corpus.build.survey import KNOWN, load_hashes
from megakor.corpus.engines.checked import CheckedEngine
from megakor.corpus.fields.expression import parse
from megakor.storage import hash_pieces

ENCODE, MERGE, FINISH = "encode", "merge", "finish"
"""Names of the stages in the markers."""


@dataclass(frozen=True)
class Encoding:
    """Portions -> runs."""

    settings: EncodingSettings
    surveyed: tuple[str, ...] = ()
    """Names of the tasks of a survey of sentences, if there was one."""

    def start(self) -> Callable[[Task, Report], dict[str, Any]]:
        """Loads the engine."""
        engine = CheckedEngine(self.settings.engine, self.settings.tokenizer)
        where = parse(self.settings.rules.where) if self.settings.rules.where else None
        shared = frozenset(load_hashes(self.settings.directory, KNOWN, self.surveyed).tolist())

        def encode(task: Task, report: Report) -> dict[str, Any]:
            engine.begin_task(task.portion.byte_stop - task.portion.byte_start)
            result: TaskResult = encode_portion(task.portion, task.name, self.settings, engine, where, shared, report)
            return {**asdict(result), "engine": engine.name, "caught": engine.caught, "notes": engine.notes}

        return encode

    def describe(self, task: Task) -> str:
        """The part of the input."""
        return task.portion.place


@dataclass(frozen=True)
class Merging:
    """Runs -> regions of the .bin."""

    merge: Merge

    def start(self) -> Callable[[Bucket, Report], None]:
        """Nothing to load."""

        def merge(bucket: Bucket, report: Report) -> None:
            merge_bucket(self.merge, bucket)
            report(0, 0, 0, 0)

        return merge

    def describe(self, bucket: Bucket) -> str:
        """The part of the shard."""
        return f"{self.merge.bin_path}, part {bucket.name}"


@dataclass(frozen=True)
class Hashing:
    """Hashes of a file, range by range."""

    path: Path

    def start(self) -> Callable[[tuple[int, int], Report], list[str]]:
        """Nothing to load."""
        return lambda span, report: hash_pieces(self.path, *span)

    def describe(self, span: tuple[int, int]) -> str:
        """The file."""
        return str(self.path)
