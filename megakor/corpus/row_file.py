"""PREFIX.rows.arrow, what the rows of a regrouped shard are made of: an Arrow IPC file beside PREFIX.bin.

It is uncompressed and its record batches have a fixed number of rows, so that any row is found in constant time in a
memory map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError
from megakor.storage import publish, remove, storage_errors, sync_file, temporary_name

SUFFIX = ".rows.arrow"
FORMAT = "megakor-rows-1"
ROWS_PER_BATCH = 1024
SCHEMA = pa.schema(
    [
        ("tokens", pa.int32()),
        ("document_starts", pa.list_(pa.int32())),
        ("segment_starts", pa.list_(pa.int32())),
        ("documents", pa.list_(pa.int64())),
        ("offsets", pa.list_(pa.int64())),
        ("languages", pa.list_(pa.string())),
        ("loss_off", pa.list_(pa.struct([("start", pa.int32()), ("stop", pa.int32())]))),
    ]
)


@dataclass(frozen=True)
class Row:
    """One row. Positions are tokens from the start of the row; P is the number of its pieces of documents.

    tokens: real tokens; padding follows them. document_starts (P,): where each piece begins. segment_starts: where each
    attention segment begins, a subset of document_starts. documents (P,): number of the document among all documents
    of the input shards. offsets (P,): tokens of the document before this piece. languages: one a piece. loss_off
    (spans, 2): start and stop of tokens that are read but are not to be predicted, the padding among them.
    """

    tokens: int
    document_starts: np.ndarray
    segment_starts: np.ndarray
    documents: np.ndarray
    offsets: np.ndarray
    languages: list[str]
    loss_off: np.ndarray


class RowFileWriter:
    """Writes PREFIX.rows.arrow; `finish`, `publish` and `discard` as in `ShardWriter`."""

    def __init__(self, prefix: Path, row_tokens: int) -> None:
        self.path = shard_file(prefix, SUFFIX)
        self._temporary = temporary_name(self.path)
        self._waiting: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        described = SCHEMA.with_metadata({"format": FORMAT, "row_tokens": str(row_tokens)})
        with storage_errors(self.path):
            self._file = pa.OSFile(str(self._temporary), "wb")
            self._writer = pa.ipc.new_file(self._file, described)

    def add(self, **columns: Any) -> None:
        """Append one row: a value for every column of the schema."""
        for name, waiting in self._waiting.items():
            waiting.append(columns[name])
        if len(self._waiting["tokens"]) == ROWS_PER_BATCH:
            self._write_batch()

    def finish(self) -> None:
        """Make the file whole and durable under its temporary name."""
        if self._waiting["tokens"]:
            self._write_batch()
        with storage_errors(self.path):
            self._writer.close()
            self._file.close()
            sync_file(self._temporary)

    def publish(self) -> None:
        """Give the finished file its final name."""
        publish(self._temporary, self.path)

    def discard(self) -> None:
        """Remove what has no final name yet."""
        self._file.close()
        remove(self._temporary)

    def _write_batch(self) -> None:
        arrays = [pa.array(self._waiting[field.name], field.type) for field in SCHEMA]
        with storage_errors(self.path):
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        self._waiting = {name: [] for name in SCHEMA.names}


class RowFile:
    """Random access to the rows of a regrouped shard, in constant time and memory.

    Token ids of row n are tokens n * row_tokens to (n + 1) * row_tokens of the shard.
    """

    def __init__(self, prefix: Path) -> None:
        """Raises DataError for a file that is missing, damaged or not whole."""
        self.path = shard_file(Path(prefix), SUFFIX)
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(self.path)))
        except FileNotFoundError:
            raise DataError(f"{self.path} is missing; `megakor corpus regroup` writes it beside the shard.") from None
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from error
        described = self._file.schema.metadata or {}
        length = described.get(b"row_tokens", b"")
        if described.get(b"format") != FORMAT.encode() or not self._file.schema.equals(SCHEMA) or not length.isdigit():
            raise DataError(f"{self.path}: not a row file of format {FORMAT}; regroup the shard again.")
        self.row_tokens = int(length)
        self._number, self._batch = -1, pa.RecordBatch.from_pylist([], SCHEMA)
        batches = self._file.num_record_batches
        self.rows = max(0, batches - 1) * ROWS_PER_BATCH + (self._load(batches - 1).num_rows if batches else 0)

    def __len__(self) -> int:
        return self.rows

    def row(self, number: int) -> Row:
        """Row `number`, from 0. Raises DataError where the file is damaged, IndexError past its end."""
        if not 0 <= number < self.rows:
            raise IndexError(f"{self.path} has {self.rows:,} rows; row {number:,} was asked for.")
        batch, place = self._load(number // ROWS_PER_BATCH), number % ROWS_PER_BATCH
        try:
            row = _row(batch, place)
        except (AttributeError, ValueError, pa.ArrowException) as error:  # a null, or text that is no UTF-8
            raise self._damaged(f"row {number:,}: {error}") from error
        if not _sound(row, self.row_tokens):
            raise self._damaged(f"the numbers of row {number:,} do not fit together")
        return row

    @cached_property
    def lengths(self) -> np.ndarray:
        """int32 (rows,): tokens of every row, without its padding. Nothing else of the file is read.

        Raises DataError where it is damaged.
        """
        try:
            columns = [self._file.get_batch(n).column("tokens") for n in range(self._file.num_record_batches)]
            lengths = np.concatenate([np.empty(0, np.int32), *(column.to_numpy() for column in columns)])
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from error
        if len(lengths) != self.rows or (self.rows and not 0 < lengths.min() <= lengths.max() <= self.row_tokens):
            raise self._damaged("the lengths of its rows cannot be")
        return lengths

    @cached_property
    def documents_begun(self) -> np.ndarray:
        """int32 (rows,): documents whose first token is in each row. Raises DataError where the file is damaged."""
        counts = [np.empty(0, np.int32)]
        for number in range(self._file.num_record_batches):
            offsets = self._load(number).column("offsets")
            if offsets.null_count or offsets.values.null_count:
                raise self._damaged(f"batch {number} has no offsets")
            begins = np.concatenate(([0], np.cumsum(offsets.values.to_numpy() == 0)))
            counts.append(np.diff(begins[offsets.offsets.to_numpy()]).astype(np.int32))
        return np.concatenate(counts)

    def _load(self, number: int) -> pa.RecordBatch:
        if number != self._number:
            try:
                batch = self._file.get_batch(number)
                batch.validate(full=True)  # a damaged offset would otherwise be followed out of the file
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(error) from error
            if number < self._file.num_record_batches - 1 and batch.num_rows != ROWS_PER_BATCH:
                raise self._damaged(f"batch {number} has {batch.num_rows} rows")
            self._number, self._batch = number, batch
        return self._batch

    def _damaged(self, reason: object) -> DataError:
        return DataError(f"{self.path}: the rows cannot be read ({reason}); regroup the shard again.")


def _row(batch: pa.RecordBatch, place: int) -> Row:
    def numbers(name: str) -> np.ndarray:
        return batch.column(name)[place].values.to_numpy()

    spans = batch.column("loss_off")[place].values
    return Row(
        tokens=batch.column("tokens")[place].as_py(),
        document_starts=numbers("document_starts"),
        segment_starts=numbers("segment_starts"),
        documents=numbers("documents"),
        offsets=numbers("offsets"),
        languages=batch.column("languages")[place].as_py(),
        loss_off=np.stack([spans.field("start").to_numpy(), spans.field("stop").to_numpy()], axis=1),
    )


def _sound(row: Row, row_tokens: int) -> bool:
    """Whether the positions of a row are positions of it, in order."""
    starts, spans = row.document_starts, row.loss_off.ravel()
    return (
        len(starts) == len(row.documents) == len(row.offsets) == len(row.languages) > 0 < len(row.segment_starts)
        and starts[0] == row.segment_starts[0] == 0
        and bool((np.diff(starts) > 0).all() and (np.diff(row.segment_starts) > 0).all())
        and starts[-1] < row.tokens <= row_tokens
        and bool(np.isin(row.segment_starts, starts).all() and (np.diff(spans, prepend=0) >= 0).all())
        and (not len(spans) or spans[-1] <= row_tokens)
    )
