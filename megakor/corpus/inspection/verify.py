"""Whether the files of a shard are whole, unchanged and of one another; which document is damaged if they are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

from megakor.corpus.inspection.contents import ContentResult, ContentTask, check_contents, content_tasks
from megakor.corpus.inspection.findings import Findings
from megakor.corpus.inspection.index_file import IndexFile, check_structure
from megakor.corpus.inspection.manifest_check import KnownTokenizer, check_counts, check_manifest
from megakor.corpus.inspection.rows_check import check_every_row, check_row_count, has_rows
from megakor.corpus.manifest import Manifest, is_as_written, read_manifest
from megakor.corpus.metadata import CHECKSUM, metadata_rows, metadata_schema
from megakor.corpus.row_file import SUFFIX as ROWS_SUFFIX
from megakor.corpus.shard import bin_path, idx_path, read_header
from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError
from megakor.storage import hash_of_pieces, hash_pieces

_WORTH_PROCESSES = 256 << 20
"""Bytes of .bin below which one process is done before others have started."""
Advance = Callable[[int], None]


@dataclass(frozen=True)
class VerifyOptions:
    """What to check and with how many processes."""

    quick: bool = False
    """Headers, sizes and counts only: nothing that grows with the shard is read."""
    workers: int = 1
    tokenizer: KnownTokenizer | None = None
    findings_kept: int = 20


@dataclass
class ShardReport:
    """What is known of one shard after its check."""

    prefix: Path
    findings: Findings
    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What could not be checked, and why, as clauses."""


def verify_shard(prefix: Path, options: VerifyOptions, advance: Advance = lambda _: None) -> ShardReport:
    """Check one shard. `advance` is told the bytes of .bin as they are done. Damage is reported, not raised."""
    report = ShardReport(prefix, Findings(options.findings_kept))
    index = _open_index(prefix, report)
    if index is None:
        return report
    _check_bin_size(index, report)
    manifest = _check_manifest(index, options, report)
    rows = _check_metadata_rows(index, report)
    _check_row_file(index, manifest, report, options.quick)
    if options.quick:
        if not report.findings.count:
            with _noting(report, idx_path(prefix)):
                read_header(prefix)
        return report
    sound = _check_index(index, report)
    _check_side_files(index, manifest, rows and sound, report)
    if _size(bin_path(prefix)) == index.bin_bytes:
        what = _Wanted(manifest, options.tokenizer, sound, rows and sound and _has_checksums(index, report))
        _check_tokens(index, what, options, report, advance)
    else:
        report.unchecked.append("the tokens, because the .bin has another size than it should have")
    return report


def _open_index(prefix: Path, report: ShardReport) -> IndexFile | None:
    try:
        index = IndexFile.open(prefix)
        bytes_ = index.bin_bytes
    except (DataError, OSError) as error:
        report.findings.add(idx_path(prefix), _without_path(error, idx_path(prefix)))
        return None
    report.documents, report.tokens, report.bytes = index.documents, bytes_ // index.dtype.itemsize, bytes_
    return index


def _check_bin_size(index: IndexFile, report: ShardReport) -> None:
    path = bin_path(index.prefix)
    size = _size(path)
    report.checked.append("sizes and headers")
    if size is None:
        report.findings.add(path, "is missing, or cannot be read")
    elif size > index.bin_bytes or index.bin_bytes < 0:
        report.findings.add(path, f"has {size:,} bytes, {idx_path(index.prefix).name} describes {index.bin_bytes:,}")
    elif size < index.bin_bytes:
        with _noting(report, path):
            first = max(0, index.first_document_at(size // index.dtype.itemsize + 1) - 1)
            report.findings.add(
                path,
                f"has {size:,} bytes, {idx_path(index.prefix).name} describes {index.bin_bytes:,}: it is cut off in "
                f"document {first:,} of {index.documents:,}, or is of another shard",
            )


def _check_manifest(index: IndexFile, options: VerifyOptions, report: ShardReport) -> Manifest | None:
    path = shard_file(index.prefix, ".json")
    with _noting(report, path):
        manifest = read_manifest(index.prefix)
        if manifest is None:
            report.unchecked.append("what the manifest would tell, because there is none")
            return None
        report.checked.append("manifest")
        check_manifest(index, manifest, options.tokenizer, report.findings)
        original = is_as_written(index.prefix)
        if original is None:
            report.unchecked.append("changes of the manifest, because it has no digest of itself")
        elif not original:
            report.findings.add(path, "was changed after it was written (its digest differs)")
        return manifest
    return None


def _check_metadata_rows(index: IndexFile, report: ShardReport) -> bool:
    """Whether there is metadata with a row for each document."""
    path = shard_file(index.prefix, ".parquet")
    with _noting(report, path):
        rows = metadata_rows(index.prefix)
        if rows == index.documents:
            return True
        if rows is None:
            report.unchecked.append("single documents, because there is no metadata with their checksums")
        else:
            report.findings.add(path, f"has {rows:,} rows for {index.documents:,} documents; it is of another shard")
    return False


def _check_row_file(index: IndexFile, manifest: Manifest | None, report: ShardReport, quick: bool) -> None:
    if not has_rows(index):
        return
    with _noting(report, shard_file(index.prefix, ROWS_SUFFIX)):
        check_row_count(index, report.findings)
        if not quick:
            check_every_row(index, manifest, report.findings)
            report.checked.append("rows")


def _check_index(index: IndexFile, report: ShardReport) -> bool:
    before = report.findings.count
    with _noting(report, idx_path(index.prefix)):
        check_structure(index, report.findings)
        report.checked.append("index")
    return report.findings.count == before


def _check_side_files(index: IndexFile, manifest: Manifest | None, countable: bool, report: ShardReport) -> None:
    """Hashes of the smaller files, and the counts of the manifest added up again."""
    hashes = manifest.checksums if manifest is not None else {}
    for name in sorted(hashes.keys() - {"bin"}):
        path = shard_file(index.prefix, f".{name}")
        with _noting(report, path):
            size = path.stat().st_size
            if hash_of_pieces(hash_pieces(path, 0, size)) != hashes[name]:
                report.findings.add(path, "its bytes are not those that the manifest's checksum stands for (SHA-256)")
    if countable:
        with _noting(report, shard_file(index.prefix, ".parquet")):
            check_counts(index, manifest, report.findings)
            report.checked.append("metadata")


@dataclass(frozen=True)
class _Wanted:
    """What the tokens can be compared with."""

    manifest: Manifest | None
    tokenizer: KnownTokenizer | None
    documents: bool
    """Whether the index says where they begin."""
    checksums: bool

    @property
    def hash(self) -> str | None:
        return self.manifest.checksums.get("bin") if self.manifest is not None else None

    @property
    def vocabulary_size(self) -> int | None:
        return min((known.vocabulary_size for known in (self.manifest, self.tokenizer) if known), default=None)

    def missing(self) -> Iterator[str]:
        if not self.documents:
            yield "single documents, because the index is damaged"
        if self.vocabulary_size is None:
            yield "token ids against a vocabulary, because there is no manifest and no --tokenizer"
        if self.hash is None:
            yield "the .bin as a whole, because no manifest has its checksum"

    def tasks(self, index: IndexFile) -> list[ContentTask]:
        documents = self.documents and (self.checksums or self.vocabulary_size is not None)
        return content_tasks(index, self.hash is not None, documents, self.checksums, self.vocabulary_size)


def _check_tokens(
    index: IndexFile, wanted: _Wanted, options: VerifyOptions, report: ShardReport, advance: Advance
) -> None:
    report.unchecked += wanted.missing()
    tasks = wanted.tasks(index)
    total = ContentResult()
    path = bin_path(index.prefix)
    with _noting(report, path):
        for task, result in zip(tasks, _results(tasks, options.workers), strict=True):
            total.add(result)
            advance(task.bytes)
        report.checked.append("tokens")
        if wanted.hash is not None and hash_of_pieces(total.hashes) != wanted.hash:
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


def _has_checksums(index: IndexFile, report: ShardReport) -> bool:
    with _noting(report, shard_file(index.prefix, ".parquet")):
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
        yield from pool.map(check_contents, tasks)


@contextmanager
def _noting(report: ShardReport, path: Path) -> Iterator[None]:
    """A file that cannot be read is a finding, and the check of the others goes on."""
    try:
        yield
    except (DataError, OSError, pa.ArrowException) as error:
        report.findings.add(path, _without_path(error, path))


def _without_path(error: Exception, path: Path) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {os.strerror(error.errno) if error.errno else error}"
    return " ".join(str(error).removeprefix(str(path)).split()).lstrip(": ").rstrip(".")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
