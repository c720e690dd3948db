"""Writes a Megatron shard: PREFIX.bin (token ids, one document after another) and PREFIX.idx (lengths and offsets).

The bytes are those of megatron.core.datasets.indexed_dataset.IndexedDatasetBuilder with one sequence per document.
Memory does not grow with the shard: the lengths wait in a temporary file until the index is written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from megakor.errors import DataError
from megakor.storage import make_directory, publish, remove, storage_errors, sync_directory, temporary_name

MAGIC = b"MMIDIDX\x00\x00"
DTYPE_CODES = {"uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "float64": 6, "float32": 7, "uint16": 8}
SHARD_SUFFIXES = (".idx", ".json", ".rows.arrow", ".parquet", ".bin")
"""Files of a shard, in the order in which an older shard is taken away."""
LONGEST_DOCUMENT = 2**31 - 1
_UINT16_BELOW = 65_500  # Megatron-LM's own threshold
_CHUNK = 1 << 20
_HEADER_BYTES = len(MAGIC) + 25


def token_dtype(vocabulary_size: int) -> np.dtype:
    """The dtype Megatron-LM picks for a vocabulary: uint16 below 65,500 entries, else int32."""
    return np.dtype(np.uint16 if vocabulary_size < _UINT16_BELOW else np.int32)


def shard_file(prefix: Path, suffix: str) -> Path:
    """PREFIX + suffix; unlike `with_suffix` it keeps dots inside the prefix (corpus.v2 -> corpus.v2.bin)."""
    return prefix.with_name(prefix.name + suffix)


def shard_files(prefix: Path) -> list[Path]:
    """Every file that a shard of this name may have."""
    return [shard_file(prefix, suffix) for suffix in SHARD_SUFFIXES]


def withdraw(prefix: Path) -> None:
    """Take an older shard of this name out of sight, its index first: an .idx never stands beside the files of another
    shard."""
    for path in shard_files(prefix):
        with storage_errors(path):
            path.unlink(missing_ok=True)
    with storage_errors(prefix):
        sync_directory(prefix.parent)


def index_bytes(documents: int) -> int:
    """Size of an .idx file: header, lengths, offsets, document indices."""
    return _HEADER_BYTES + documents * (4 + 8) + (documents + 1) * 8


def write_index(index: BinaryIO, dtype: np.dtype, documents: int, lengths: Iterable[np.ndarray]) -> None:
    """Write a whole .idx file from the lengths of all documents, given as arrays (int32) in order."""
    index.write(MAGIC + struct.pack("<QBQQ", 1, DTYPE_CODES[dtype.name], documents, documents + 1))
    written = offset = 0
    for chunk in lengths:
        ends = offset + np.cumsum(chunk, dtype=np.int64) * dtype.itemsize
        index.seek(_HEADER_BYTES + 4 * written)
        index.write(chunk.astype(np.int32, copy=False).tobytes())
        index.seek(_HEADER_BYTES + 4 * documents + 8 * written)
        index.write((ends - chunk.astype(np.int64) * dtype.itemsize).tobytes())
        written += len(chunk)
        offset = int(ends[-1]) if len(ends) else offset
    if written != documents:
        raise ValueError(f"{written} lengths were given for {documents} documents")
    index.seek(_HEADER_BYTES + 12 * documents)
    for start in range(0, documents + 1, _CHUNK):
        index.write(np.arange(start, min(start + _CHUNK, documents + 1), dtype=np.int64).tobytes())


def lengths_in(path: Path) -> Iterator[np.ndarray]:
    """The int32 numbers of a file, in arrays of bounded size."""
    with path.open("rb") as file:
        while raw := file.read(4 * _CHUNK):
            yield np.frombuffer(raw, dtype=np.int32)


class ShardWriter:
    """Context manager: on a clean exit both files get their final names; on an exception nothing remains.

    `finish` and `publish` are apart so that several files can be made whole before any of them becomes visible.
    """

    def __init__(self, prefix: Path, dtype: np.dtype) -> None:
        if dtype.name not in DTYPE_CODES or dtype.kind not in "iu":
            raise ValueError(f"token dtype {dtype} is not an integer type of the .idx format")
        self.prefix = prefix
        self.dtype = dtype
        self.tokens = 0
        self.documents = 0
        self.bin_path, self.idx_path = shard_file(prefix, ".bin"), shard_file(prefix, ".idx")
        self._bin_temporary, self._idx_temporary = temporary_name(self.bin_path), temporary_name(self.idx_path)
        self._lengths_path = temporary_name(shard_file(prefix, ".lengths"))
        make_directory(prefix.parent)
        with storage_errors(self.bin_path):
            self._file: BinaryIO = self._bin_temporary.open("wb")
            self._lengths: BinaryIO = self._lengths_path.open("wb")

    @property
    def index_bytes(self) -> int:
        """Size of the .idx file."""
        return index_bytes(self.documents)

    def add_document(self, ids: Sequence[int] | np.ndarray) -> None:
        """Append one document of token ids, shape (tokens,). Raises DataError for an id that the dtype cannot hold."""
        given = np.asarray(ids, dtype=np.int64 if not isinstance(ids, np.ndarray) else None)
        self.add_documents(given, np.array([given.size], dtype=np.int64))

    def add_documents(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Append documents: token ids end to end, shape (tokens,), and the length of each, shape (documents,).

        Raises:
            DataError: an id that the dtype cannot hold, or a document of 2^31 tokens or more.
            StorageError: the files cannot be written.
        """
        if len(lengths) and int(lengths.max()) > LONGEST_DOCUMENT:
            raise DataError(
                f"{self.prefix}: a document of {int(lengths.max()):,} tokens does not fit the .idx format (2^31 - 1)."
            )
        if int(lengths.sum()) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens were given for documents of {int(lengths.sum())}")
        with storage_errors(self.bin_path):
            self._file.write(np.ascontiguousarray(self._in_dtype(tokens)).data)
            self._lengths.write(lengths.astype(np.int32).tobytes())
        self.tokens += len(tokens)
        self.documents += len(lengths)

    def finish(self) -> None:
        """Make both files whole and durable under their temporary names."""
        with storage_errors(self.bin_path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        with storage_errors(self.idx_path), self._idx_temporary.open("wb") as index:
            self._lengths.close()
            write_index(index, self.dtype, self.documents, lengths_in(self._lengths_path))
            index.flush()
            os.fsync(index.fileno())

    def withdraw(self) -> None:
        """Take an older shard of the same name out of sight."""
        withdraw(self.prefix)

    def publish(self) -> None:
        """Give the finished files their final names, the index last."""
        publish(self._bin_temporary, self.bin_path)
        publish(self._idx_temporary, self.idx_path)

    def discard(self) -> None:
        """Remove what has no final name yet."""
        for file in (self._file, self._lengths):
            with suppress(OSError):  # a full disk refuses the last bytes again
                file.close()
        for path in (self._bin_temporary, self._idx_temporary, self._lengths_path):
            remove(path)

    def _in_dtype(self, tokens: np.ndarray) -> np.ndarray:
        if tokens.dtype == self.dtype:
            return tokens
        return narrowed(tokens, self.dtype, str(self.prefix))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
                self.withdraw()
                self.publish()
        finally:
            self.discard()


def narrowed(tokens: np.ndarray, dtype: np.dtype, place: str) -> np.ndarray:
    """The ids in another integer dtype. Raises DataError, beginning with `place`, for an id that it cannot hold."""
    limits = np.iinfo(dtype)
    if tokens.size and (int(tokens.min()) < 0 or int(tokens.max()) > limits.max):
        raise DataError(
            f"{place}: token ids {tokens.min()} to {tokens.max()} do not fit {dtype} (0 to {limits.max}); "
            "the shard was opened for a smaller vocabulary."
        )
    return tokens.astype(dtype)
