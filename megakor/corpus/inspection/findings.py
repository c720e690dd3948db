"""What is wrong with a shard: sentences, the first of which are kept and all of which are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One fault: the file it was found in, and a sentence without a full stop."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass
class Findings:
    """At most `limit` findings are kept; `count` counts all of them, `harmless` those that are no damage."""

    limit: int = 20
    count: int = 0
    harmless: int = 0
    kept: list[Finding] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        """Whether anything is broken."""
        return self.count > self.harmless

    def add(self, path: Path, message: str, harmless: bool = False) -> None:
        """Note one fault; a harmless one says that a whole shard is another than was expected."""
        self.harmless += harmless
        self.add_many(path, 1, (message,))

    def add_many(self, path: Path, count: int, messages: Iterable[str]) -> None:
        """Note `count` faults, whose sentences are made only as far as they are kept."""
        self.count += count
        self.kept += [Finding(path, message) for message in islice(messages, max(0, self.limit - len(self.kept)))]
