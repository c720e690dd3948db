"""Puts documents into the order of their keys when they do not fit into memory: sorted runs, then ranges of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.build.runs import Run, RunPart, write_run
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.stream import cut_by_tokens, one_batch
from megakor.storage import make_directory

MEMORY = 1 << 30
"""Bytes that a sort may hold, unless told."""
_COPIES = 4  # of a run or a range: given, joined, in the order of keys, and what Arrow holds meanwhile
_DOCUMENT_BYTES = 32
_LEAST_RUN = 1 << 12
_PIECE_TOKENS = 1 << 20  # given back at a time: taking them costs 24 bytes for each
_KEYS = 1 << 64


class Sorter:
    """Takes documents with keys in any order, gives them back by ascending key.

    Memory: about `memory` bytes, or four times the longest document, whatever the number of documents. Disk: the
    documents once more. The order depends on the keys alone as long as they differ.

    Args:
        directory: where a directory for the runs may be made; the caller removes it.
    """

    def __init__(self, directory: Path, dtype: np.dtype, memory: int) -> None:
        self._directory = directory / "runs"
        make_directory(self._directory)
        self._dtype = dtype
        self._run_bytes = max(_LEAST_RUN, memory // _COPIES)
        self._waiting: list[tuple[DocumentBatch, np.ndarray]] = []
        self._waiting_bytes = 0
        self._total_bytes = 0
        self._runs: list[str] = []

    def add(self, batch: DocumentBatch, keys: np.ndarray) -> None:
        """Take documents with their keys, uint64 (documents,). Raises StorageError."""
        size = batch.tokens.nbytes + batch.metadata.nbytes + _DOCUMENT_BYTES * batch.documents
        if self._waiting and self._waiting_bytes + size > self._run_bytes:
            self._write_run()
        self._waiting.append((batch, keys))
        self._waiting_bytes += size

    def sorted(self) -> Iterator[DocumentBatch]:
        """All documents by ascending key. Raises StorageError, DataError (a run was damaged meanwhile)."""
        if self._waiting:
            self._write_run()
        ranges = max(1, -(-self._total_bytes // self._run_bytes))
        runs: list[Run] = []
        mapped = self._run_bytes
        for number in range(ranges):
            if mapped >= self._run_bytes:  # maps keep the pages that were read; new ones begin with none
                runs, mapped = [Run(self._directory, name, self._dtype) for name in self._runs], 0
            low, high = _KEYS * number // ranges, _KEYS * (number + 1) // ranges
            parts = [part for run in runs if (part := run.part(low, high)) is not None]
            mapped += sum(part.rows.nbytes + _DOCUMENT_BYTES * len(part.lengths) for part in parts)
            if not parts:
                continue
            documents, order = _joined(parts)
            del parts
            for first, last in cut_by_tokens(documents.lengths[order], _PIECE_TOKENS):
                yield documents.take(order[first:last])

    def _write_run(self) -> None:
        name = f"{len(self._runs):05d}"
        batches, keys = zip(*self._waiting, strict=True)
        rows = pa.Table.from_batches([batch.metadata for batch in batches]).unify_dictionaries().combine_chunks()
        tokens, lengths = (np.concatenate([getattr(batch, of) for batch in batches]) for of in ("tokens", "lengths"))
        self._total_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        del batches
        write_run(self._directory, name, tokens, lengths, np.concatenate(keys), rows)
        self._runs.append(name)


def _joined(parts: Sequence[RunPart]) -> tuple[DocumentBatch, np.ndarray]:
    """The documents of one range, and their numbers in the order of the keys, int64 (documents,)."""
    tokens, lengths, keys = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("tokens", "lengths", "keys")
    )
    rows = one_batch(pa.concat_tables([part.rows for part in parts]))
    return DocumentBatch(tokens, lengths, rows), np.argsort(keys, kind="stable")
