"""What every reader of text takes and gives: a portion of an input, the fields wanted, batches of documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BATCH_DOCUMENTS = 1024
"""At most so many documents stand in one `Records`."""
BATCH_BYTES = 4 << 20
"""About so many bytes of text stand in one `Records` at most, unless a single document is longer."""
MAXIMUM_FILES = 1 << 20
MAXIMUM_POSITION = 1 << 44
"""A file number and a position share one 64-bit number; see `megakor.corpus.build.order`."""

_ITEMS = {"parquet": "row groups", "arrow": "record batches", "dataset": "shards"}


@dataclass(frozen=True)
class Portion:
    """A piece of one input that one task reads; small and picklable.

    How an input is cut never changes what is read: the portions of a file together give each of its documents once.
    """

    file: int
    """Number of the file among the inputs, from 0, in their fixed order."""
    path: str
    kind: str
    """Name of the reader: jsonl, parquet, arrow, text, dataset."""
    compression: str | None
    """gzip, zstd, ... of a file that is read from its beginning to its end; None otherwise."""
    byte_start: int
    byte_stop: int
    """The bytes of the file that belong to this portion (for progress and hashing); 0, 0 where there is no file."""
    item_start: int = 0
    item_stop: int = 0
    """Row groups (parquet), record batches (arrow) or shards (dataset); unused by the others."""
    first_row: int = 0
    """Arrow: rows of the file in front of the portion, which would take a walk over the file to count."""

    @property
    def place(self) -> str:
        """The file and which part of it, for messages."""
        if self.compression:
            return self.path
        if self.kind in _ITEMS:
            return f"{self.path}, {_ITEMS[self.kind]} {self.item_start:,} to {self.item_stop - 1:,}"
        return f"{self.path}, bytes {self.byte_start:,} to {self.byte_stop:,}"


@dataclass(frozen=True)
class Fields:
    """What to read of a record."""

    text: str = "text"
    """Key or column of the text; a dot enters nested objects."""
    metadata: tuple[str, ...] = ()
    """Further keys; a document without one has None there."""
    text_unit: str = "file"
    """What a document of a text file is: file, paragraph (blocks between blank lines) or line."""


@dataclass(frozen=True)
class Problem:
    """A document that cannot be read: its kind is counted, its place and sentence are shown."""

    kind: str
    """One of a few words: json, utf-8, missing key, wrong type, surrogate, ..."""
    message: str
    """A whole sentence that begins with file:line (or file, row N)."""


@dataclass
class Records:
    """A batch of documents in the order of the file, in lists of equal length, and the problems met between them."""

    positions: list[int] = field(default_factory=list)
    """Place in the (unpacked) file: byte offset of the line, or number of the row. Ascending over a file, unique."""
    texts: list[str] = field(default_factory=list)
    metadata: dict[str, list[Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    """Documents of the batch that have no such field at all, where there are any; a null is a value here."""
    bytes_read: int = 0
    """Bytes of the input that this batch took, for progress; they add up to byte_stop - byte_start."""


@dataclass(frozen=True)
class InputFile:
    """One input as `list_inputs` finds it."""

    path: str
    kind: str
    compression: str | None
    bytes: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return Path(self.path).name
