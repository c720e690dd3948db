"""Runs: documents of one task, sorted by key, in two files of the work directory.

NAME.tokens holds the token ids end to end. NAME.arrow (Arrow IPC, uncompressed, so that it can be mapped into memory)
has a row for each document: key, start and length in tokens, and the metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from megakor.errors import DataError
from megakor.storage import publish, remove, storage_errors, sync_file, temporary_name

KEY, START, LENGTH = "_key", "_start", "_length"
_BOOKKEEPING = (KEY, START, LENGTH)
_PIECE_BYTES = 4 << 20


def write_run(
    directory: Path, name: str, tokens: np.ndarray, lengths: np.ndarray, keys: np.ndarray, rows: pa.Table
) -> None:
    """Sort documents by key and write both files, whole and durable.

    tokens: (tokens,) end to end. lengths: int64 (documents,). keys: uint64 (documents,). rows: their metadata.
    """
    order = np.argsort(keys, kind="stable")
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    path = directory / f"{name}.tokens"
    temporary = temporary_name(path)
    try:
        with storage_errors(path), temporary.open("wb") as file:
            for piece in pieces_in_order(tokens, starts, lengths, order):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        remove(temporary)
    sorted_lengths = lengths[order]
    own = {
        KEY: pa.array(keys[order]),
        START: pa.array(np.cumsum(sorted_lengths, dtype=np.int64) - sorted_lengths),
        LENGTH: pa.array(sorted_lengths.astype(np.int32)),
    }
    table = rows.take(pa.array(order))
    for column, values in own.items():
        table = table.append_column(column, values)
    write_arrow(directory / f"{name}.arrow", table)


def pieces_in_order(tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray, order: np.ndarray) -> Iterator[bytes]:
    """The bytes of the documents in an order, some megabytes at a time (or one document that is longer)."""
    view, size = np.ascontiguousarray(tokens).view(np.uint8).data, tokens.dtype.itemsize
    begins, ends = (starts * size).tolist(), ((starts + lengths) * size).tolist()
    piece: list[memoryview] = []
    held = 0
    for number in order.tolist():
        piece.append(view[begins[number] : ends[number]])
        held += ends[number] - begins[number]
        if held >= _PIECE_BYTES:
            yield b"".join(piece)
            piece, held = [], 0
    yield b"".join(piece)


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write a table that `read_arrow` maps, as one record batch, whole and durable. Raises StorageError."""
    temporary = temporary_name(path)
    try:
        with storage_errors(path):
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table.combine_chunks())
            sync_file(temporary)
        publish(temporary, path)
    finally:
        remove(temporary)


def read_arrow(path: Path) -> pa.Table:
    """Map a table into memory; nothing of it is read before it is used. Raises DataError."""
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove its work directory and start again.") from error


@dataclass(frozen=True)
class RunPart:
    """The documents of a run whose keys are in a range."""

    tokens: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    rows: pa.Table


class Run:
    """Reads a run by ranges of keys."""

    def __init__(self, directory: Path, name: str, dtype: np.dtype) -> None:
        self._tokens_path = directory / f"{name}.tokens"
        self._dtype = dtype
        self._table = read_arrow(directory / f"{name}.arrow")
        self.keys = _numbers(self._table, KEY)
        """Ascending, uint64 (documents,)."""
        self.schema = pa.schema([column for column in self._table.schema if column.name not in _BOOKKEEPING])

    @property
    def tokens(self) -> int:
        """Of all documents."""
        starts = _numbers(self._table, START)
        return int(starts[-1] + _numbers(self._table, LENGTH)[-1]) if len(starts) else 0

    def sizes(self, bounds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Documents and tokens between consecutive bounds, each int64 (bounds - 1,)."""
        cuts = self._cuts(bounds)
        return np.diff(cuts), np.diff(np.append(_numbers(self._table, START), self.tokens)[cuts])

    def part(self, low: int, high: int, room: np.ndarray | None = None) -> RunPart | None:
        """The documents with low <= key < high, or None if there is none.

        Args:
            room: where their tokens go, at its beginning; by default memory of their own.

        Raises:
            DataError: a file is truncated or damaged, or has more tokens than there is room for.
        """
        first, last = self._cuts([low, high])
        if first == last:
            return None
        rows = self._table.slice(first, last - first)
        lengths = _numbers(rows, LENGTH).astype(np.int64)
        tokens = self._read(int(_numbers(rows, START)[0]), int(lengths.sum()), room)
        return RunPart(tokens, lengths, self.keys[first:last], rows.drop_columns(list(_BOOKKEEPING)))

    def _read(self, start: int, count: int, room: np.ndarray | None) -> np.ndarray:
        start, size = start * self._dtype.itemsize, count * self._dtype.itemsize
        advice = "remove its work directory and start again"
        if room is not None and count > len(room):
            raise DataError(f"{self._tokens_path} has more tokens than it had; {advice}.")
        try:
            with self._tokens_path.open("rb", buffering=0) as file:
                whole = 0 <= size <= os.fstat(file.fileno()).st_size - start
                tokens = np.empty(count if whole else 0, self._dtype) if room is None else room[:count]
                file.seek(start)
                whole = whole and _fill(file, tokens.view(np.uint8).data)
        except OSError as error:
            raise DataError(f"{self._tokens_path}: {error.strerror}; {advice}.") from error
        if not whole:
            raise DataError(f"{self._tokens_path} is truncated; {advice}.")
        return tokens

    def _cuts(self, bounds: Sequence[int]) -> np.ndarray:
        # 2^64, the bound above all keys, is no uint64 itself.
        inside = np.searchsorted(self.keys, np.array([bound for bound in bounds if bound < 2**64], dtype=np.uint64))
        return np.append(inside, np.full(len(bounds) - len(inside), len(self.keys)))


def _fill(file: FileIO, room: memoryview) -> bool:
    """Whether the file had enough."""
    while len(room):
        if not (count := file.readinto(room)):
            return False
        room = room[count:]
    return True


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    return table.column(column).combine_chunks().to_numpy(zero_copy_only=True) if table.num_rows else _empty(column)


def _empty(column: str) -> np.ndarray:
    return np.empty(0, {KEY: np.uint64, START: np.int64, LENGTH: np.int32}[column])


class RegionWriter:
    """Writes at an offset of a file that several processes fill, each its own region."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        with storage_errors(path):
            self._file: BinaryIO = path.open("r+b")
            self._file.seek(offset)

    def write(self, data: bytes) -> None:
        """Append to the region. Raises StorageError."""
        with storage_errors(self._path):
            self._file.write(data)

    def __enter__(self) -> RegionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(OSError):
                self._file.close()
            return
        with storage_errors(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
