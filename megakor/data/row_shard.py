"""Regrouped shards: their text is read row by row, as PREFIX.rows.arrow says what a row is made of."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.row_file import SUFFIX, Row, RowFile
from megakor.corpus.shard import ShardHeader, ShardReader, bin_path, read_header
from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError

_SAMPLE_BYTES = 4096


@dataclass(frozen=True)
class RowHeader(ShardHeader):
    """`tokens` and `documents` count positions and rows, as .idx does. `row_tokens` is the length of every row, and
    `real_tokens` counts tokens without padding. The fingerprint is of the row file too."""

    row_tokens: int
    real_tokens: int


class RowShard(ShardReader):
    """A regrouped shard. The row file is opened when it is first asked."""

    header: RowHeader

    @property
    def row_tokens(self) -> int:
        """Positions in a row, those of its padding too."""
        return self.header.row_tokens

    @property
    def rows(self) -> int:
        """Rows in the shard."""
        return self.tokens // self.row_tokens

    @property
    def real_tokens(self) -> int:
        """Tokens in the shard, without padding."""
        return self.header.real_tokens

    @property
    def documents(self) -> int:
        """Documents that begin in it: the index counts rows."""
        return int(self._file.documents_begun.sum())

    def first_rows(self, tokens: int) -> list[tuple[int, int]]:
        """Positions [start, stop) of the rows that hold the first `tokens` tokens, padding not counted."""
        read = np.cumsum(self._file.lengths, dtype=np.int64)
        count = min(int(np.searchsorted(read, tokens)) + 1, self.rows)
        return [(start, start + self.row_tokens) for start in range(0, count * self.row_tokens, self.row_tokens)]

    def row_at(self, start: int) -> Row:
        """What the row that begins at position `start` is made of."""
        return self._file.row(start // self.row_tokens)

    def padding_at(self, start: int) -> int:
        """Positions of padding in the row that begins at position `start`."""
        return self.row_tokens - int(self._file.lengths[start // self.row_tokens])

    def documents_between(self, start: int, stop: int) -> int:
        """How many documents begin in the rows that begin in positions [start, stop)."""
        first, last = -(-start // self.row_tokens), -(-stop // self.row_tokens)
        return int(self._file.documents_begun[first:last].sum())

    @cached_property
    def _file(self) -> RowFile:
        return RowFile(self.prefix)


def has_rows(prefix: Path) -> bool:
    """Whether a shard was made by `megakor corpus regroup`."""
    return shard_file(prefix, SUFFIX).exists()


def open_shard(prefix: Path) -> ShardReader:
    """A `RowShard` where there is a row file beside the shard, else a plain `ShardReader`.

    Raises:
        DataError: the shard is missing or damaged, or its row file is not of this shard.
    """
    header = read_header(prefix)
    if not has_rows(prefix):
        return ShardReader(prefix, header)
    rows = RowFile(prefix)
    if len(rows) * rows.row_tokens != header.tokens:
        raise DataError(
            f"{rows.path} describes {len(rows):,} rows of {rows.row_tokens:,} tokens, but {bin_path(prefix)} has "
            f"{header.tokens:,} tokens: they belong to different builds. Copy or regroup the shard again."
        )
    fingerprint = hashlib.blake2b((header.fingerprint + _ends(rows.path)).encode(), digest_size=16).hexdigest()
    described: dict[str, Any] = vars(replace(header, fingerprint=fingerprint))
    return RowShard(prefix, RowHeader(**described, row_tokens=rows.row_tokens, real_tokens=int(rows.lengths.sum())))


def shard_from_json(fields: dict[str, Any]) -> ShardReader:
    """The way back from `shard.header.to_json()`, without touching a file."""
    if "row_tokens" in fields:
        header = RowHeader.from_json(fields)
        return RowShard(header.prefix, header)
    plain = ShardHeader.from_json(fields)
    return ShardReader(plain.prefix, plain)


def _ends(path: Path) -> str:
    """Stands for the content of a file: its size, and its first and last bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(max(0, size - _SAMPLE_BYTES), os.SEEK_SET)
        return f"{size} {head.hex()} {file.read().hex()}"
