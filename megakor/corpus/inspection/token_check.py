"""The tokens of a shard: the hash of the file, the checksum of each document, ids inside the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import pyarrow as pa

from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.contents import ContentResult, ContentTask, check_contents, content_tasks
from megakor.corpus.inspection.manifest_check import KnownTokenizer
from megakor.corpus.inspection.shard_report import ShardReport, VerifyOptions, noting
from megakor.corpus.manifest import Manifest
from megakor.corpus.metadata import CHECKSUM, metadata_schema
from megakor.corpus.shard import bin_path
from megakor.corpus.shard_writer import shard_file
from megakor.errors import LostError
from megakor.storage import hash_of_pieces

_WORTH_PROCESSES = 256 << 20
"""Bytes of .bin below which one process is done before others have started."""
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Standard:
    """What the tokens can be compared with."""

    manifest: Manifest | None
    tokenizer: KnownTokenizer | None
    documents: bool
    """Whether the index says where they begin."""
    checksums: bool

    @property
    def hash(self) -> str | None:
        """Of the whole .bin."""
        return self.manifest.checksums.get("bin") if self.manifest is not None else None

    @property
    def vocabulary_size(self) -> int | None:
        """Ids are below it; it is that of the manifest where this names another tokenizer."""
        if self.manifest is not None and self.tokenizer is not None:
            same = self.manifest.tokenizer_sha256 == self.tokenizer.sha256
            sizes = [self.manifest.vocabulary_size, *([self.tokenizer.vocabulary_size] if same else [])]
            return min(sizes)
        known = self.manifest or self.tokenizer
        return known.vocabulary_size if known is not None else None

    def missing(self) -> Iterator[str]:
        """What cannot be checked, and why."""
        if not self.documents:
            yield "single documents, because the index is damaged"
        if self.vocabulary_size is None:
            yield "token ids against a vocabulary, because there is no manifest and no --tokenizer"
        if self.hash is None:
            yield "the .bin as a whole, because no manifest has its checksum"

    def tasks(self, index: IndexFile) -> list[ContentTask]:
        """The work for a .bin that has the size it should have."""
        documents = self.documents and (self.checksums or self.vocabulary_size is not None)
        return content_tasks(index, self.hash is not None, documents, self.checksums, self.vocabulary_size)


def check_tokens(
    index: IndexFile, standard: Standard, options: VerifyOptions, report: ShardReport, advance: Advance
) -> None:
    """Read the whole .bin, and add what is wrong with it to the report. Raises LostError when a process is killed."""
    report.unchecked += standard.missing()
    tasks = standard.tasks(index)
    total = ContentResult()
    path = bin_path(index.prefix)
    with noting(report, path):
        for task, result in zip(tasks, _results(tasks, options.workers), strict=True):
            total.add(result)
            advance(task.bytes)
        report.checked.append("tokens")
        if standard.hash is not None and hash_of_pieces(total.hashes) != standard.hash:
            report.findings.add(path, "its bytes are not those that the manifest's checksum stands for (SHA-256)")
    _note_documents(index, total, report)


def _note_documents(index: IndexFile, total: ContentResult, report: ShardReport) -> None:
    path = bin_path(index.prefix)
    if total.documents > 1 and total.changed > total.documents // 2:
        report.findings.add(
            path,
            f"{total.changed:,} of {total.documents:,} documents have other tokens than their checksums in "
            f"{shard_file(index.prefix, '.parquet').name} stand for: one of these two files is of another shard",
        )
    else:
        report.findings.add_many(path, total.changed, total.changed_messages)
    report.findings.add_many(path, total.foreign, total.foreign_messages)


def has_checksums(index: IndexFile, report: ShardReport) -> bool:
    """Whether the metadata has a checksum for each document."""
    with noting(report, shard_file(index.prefix, ".parquet")):
        schema = metadata_schema(index.prefix)
        if schema is not None and CHECKSUM in schema.names and schema.field(CHECKSUM).type == pa.uint32():
            return True
        report.unchecked.append(f"single documents, because the metadata has no column {CHECKSUM}")
    return False


def _results(tasks: list[ContentTask], workers: int) -> Iterator[ContentResult]:
    workers = min(workers, len(tasks))
    if workers < 2 or sum(task.bytes for task in tasks) < _WORTH_PROCESSES:
        yield from map(check_contents, tasks)
        return
    # spawn: pyarrow's threads do not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            yield from pool.map(check_contents, tasks)
        except BrokenProcessPool as error:
            raise LostError("a process of verify was killed, perhaps for memory; try fewer --workers.") from error
