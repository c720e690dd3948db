"""What a check of one shard is told and what it finds out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from megakor.corpus.inspection.findings import Findings
from megakor.corpus.inspection.manifest_check import KnownTokenizer
from megakor.errors import DataError


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
    """Rows, of a shard that has been regrouped."""
    tokens: int = 0
    """Without padding."""
    padding: int = 0
    bytes: int = 0
    rows: bool = False
    """Whether its documents are rows."""
    unreadable: list[str] = field(default_factory=list)
    """Files that this user may not read, as clauses; then nothing of the shard is checked."""
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What could not be checked, and why, as clauses."""


@contextmanager
def noting(report: ShardReport, path: Path) -> Iterator[None]:
    """A file that cannot be read is a finding, and the check of the others goes on."""
    try:
        yield
    except (DataError, OSError, pa.ArrowException) as error:
        report.findings.add(path, sentence_of(error, path))


def sentence_of(error: Exception, path: Path) -> str:
    """What an error says of a file, in a line without its path."""
    if isinstance(error, OSError):
        return f"cannot be read: {os.strerror(error.errno) if error.errno else error}"
    return " ".join(str(error).removeprefix(str(path)).split()).lstrip(": ").rstrip(".")
