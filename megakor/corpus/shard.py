"""Reads Megatron shards: PREFIX.bin holds token ids end to end, PREFIX.idx says where sequences and documents begin.

Opening a shard reads a few kilobytes, whatever its size, and every later read opens the file, takes a few pages and
closes it: no memory map, whose pages would add up to the size of the index, and no open file for each of many shards.

Layout of .idx, little-endian: magic (9 bytes), version u64, dtype code u8, sequences u64, documents + 1 u64, then
lengths i32[sequences], byte pointers i64[sequences], index of each document's first sequence i64[documents + 1].
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from megakor.corpus.numbers_in_file import SortedNumbers, open_file, read_array
from megakor.corpus.shard_writer import DTYPE_CODES, MAGIC, shard_file
from megakor.errors import DataError

VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
DTYPES = {code: np.dtype(name) for name, code in DTYPE_CODES.items() if not name.startswith("float")}
_SAMPLE_BYTES = 4096


@dataclass(frozen=True)
class ShardHeader:
    """What is known of a shard without reading it; small enough to be sent to every rank.

    `tokens` counts token ids in .bin. `fingerprint` stands for the content: it is taken from sizes, the header, and
    the first and last bytes of lengths and tokens, so that it survives a move or a new name but not a rebuild.
    """

    prefix: Path
    dtype: str
    tokens: int
    sequences: int
    documents: int
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "prefix": str(self.prefix)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ShardHeader:
        """The way back from `to_json`."""
        return cls(**{**fields, "prefix": Path(fields["prefix"])})


def bin_path(prefix: Path) -> Path:
    """PREFIX.bin, the token ids."""
    return shard_file(prefix, ".bin")


def idx_path(prefix: Path) -> Path:
    """PREFIX.idx, the index."""
    return shard_file(prefix, ".idx")


def read_header(prefix: Path) -> ShardHeader:
    """Read and check the header of one shard in a constant number of small reads.

    Raises:
        DataError: a file is missing, is not an index, or does not fit the other one (truncated, or of another shard).
    """
    bin_bytes, idx_bytes = _size(bin_path(prefix)), _size(idx_path(prefix))
    with open(idx_path(prefix), "rb") as idx:
        raw = idx.read(HEADER.size)
        dtype, sequences, documents = parse_index_header(idx_path(prefix), raw, idx_bytes)
        _check_document_index(idx_path(prefix), idx, sequences, documents)
        described = _described_bytes(idx_path(prefix), idx, sequences, dtype.itemsize)
        lengths = _both_ends(idx, HEADER.size, HEADER.size + 4 * sequences)
    if described != bin_bytes:
        raise DataError(
            f"{bin_path(prefix)} has {bin_bytes:,} bytes but {idx_path(prefix).name} describes {described:,}: "
            "the .bin is truncated or belongs to another shard. Copy or build both files again."
        )
    with open(bin_path(prefix), "rb") as tokens:
        ends = _both_ends(tokens, 0, bin_bytes)
    digest = hashlib.blake2b(raw + struct.pack("<QQ", bin_bytes, idx_bytes) + lengths + ends, digest_size=16)
    return ShardHeader(prefix, dtype.str, bin_bytes // dtype.itemsize, sequences, documents, digest.hexdigest())


class ShardReader:
    """Random access to one shard in constant memory. Offsets and counts are in tokens.

    Args:
        prefix: path without ".bin" and ".idx".
        header: from `read_header`; read from disk when left out.
    """

    def __init__(self, prefix: Path, header: ShardHeader | None = None) -> None:
        self.prefix = Path(prefix)
        self.header = header or read_header(self.prefix)

    @property
    def tokens(self) -> int:
        """Token ids in the shard."""
        return self.header.tokens

    @property
    def sequences(self) -> int:
        """Entries of the index."""
        return self.header.sequences

    @property
    def documents(self) -> int:
        """Documents, each one sequence or more."""
        return self.header.documents

    @property
    def dtype(self) -> np.dtype:
        """Of the token ids as stored."""
        return np.dtype(self.header.dtype)

    def fingerprint(self) -> str:
        """Stands for the content; see `ShardHeader`."""
        return self.header.fingerprint

    def read(self, start: int, count: int) -> np.ndarray:
        """Token ids [count] from offset `start`, in the shard's own dtype."""
        start, count = int(start), int(count)  # the product with the item size must not wrap in a narrow NumPy integer
        if start < 0 or count < 0 or start + count > self.tokens:
            raise DataError(
                f"{bin_path(self.prefix)}: tokens {start:,} to {start + count:,} were asked for; "
                f"it has {self.tokens:,}."
            )
        with open_file(bin_path(self.prefix)) as tokens:
            return read_array(tokens, self.dtype, start * self.dtype.itemsize, count)

    def boundaries(self, start: int, stop: int) -> np.ndarray:
        """Token offsets (int64, ascending) at which a document starts strictly inside (start, stop)."""
        start, stop = int(start), int(stop)
        with open_file(idx_path(self.prefix)) as idx:
            first, last = self._sequences_between(idx, start + 1, stop)
            pointers = self._pointers.read(idx, first, last)
            opened, closed = self._documents_between(idx, first, last)
            sequences = self._first_sequences.read(idx, opened, closed)
        inside = not len(sequences) or first <= sequences.min() <= sequences.max() < last
        starts = pointers[sequences - first] if inside else sequences
        size = self.dtype.itemsize
        # Compared, not subtracted: the difference of two damaged numbers may wrap.
        if not inside or np.any(starts[1:] < starts[:-1]) or np.any((starts <= start * size) | (starts >= stop * size)):
            raise DataError(
                f"{idx_path(self.prefix)}: documents {opened:,} to {closed:,} begin outside their own place; the index "
                f"is damaged. `megakor corpus verify {self.prefix}` says where."
            )
        distinct = np.concatenate((np.ones(min(1, len(starts)), dtype=bool), starts[1:] > starts[:-1]))
        return starts[distinct] // size  # an empty document starts where the next one does

    def documents_between(self, start: int, stop: int) -> int:
        """How many documents begin in [start, stop)."""
        with open_file(idx_path(self.prefix)) as idx:
            first, last = self._documents_between(idx, *self._sequences_between(idx, start, stop))
        return last - first

    def _sequences_between(self, idx: BinaryIO, start: int, stop: int) -> tuple[int, int]:
        """The sequences that begin in tokens [start, stop), as a range."""
        size = self.dtype.itemsize
        first = self._pointers.first_at_least(idx, int(start) * size)
        return first, max(first, self._pointers.first_at_least(idx, int(stop) * size, near=first))

    def _documents_between(self, idx: BinaryIO, first: int, last: int) -> tuple[int, int]:
        """The documents whose first sequence is in [first, last), as a range."""
        opened = self._first_sequences.first_at_least(idx, first)
        return opened, self._first_sequences.first_at_least(idx, last, near=opened + last - first)

    @cached_property
    def _pointers(self) -> SortedNumbers:
        return SortedNumbers(HEADER.size + 4 * self.sequences, self.sequences, self.tokens * self.dtype.itemsize)

    @cached_property
    def _first_sequences(self) -> SortedNumbers:
        return SortedNumbers(HEADER.size + 12 * self.sequences, self.documents, self.sequences)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path} is missing. A shard is a pair of files, PREFIX.bin and PREFIX.idx.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def parse_index_header(path: Path, raw: bytes, size: int) -> tuple[np.dtype, int, int]:
    """The token dtype, sequences and documents that the first bytes of an .idx of `size` bytes tell.

    Raises:
        DataError: they are not those of an index, or of one of another size.
    """
    if len(raw) < HEADER.size or not raw.startswith(MAGIC):
        raise DataError(f"{path} is not a Megatron index (its first bytes are wrong). Build the shard again.")
    _, version, code, sequences, document_index_length = HEADER.unpack(raw[: HEADER.size])
    if version != VERSION:
        raise DataError(f"{path} is a Megatron index of version {version}; only version {VERSION} is known.")
    if code not in DTYPES:
        raise DataError(f"{path} has dtype code {code}, which is no integer type for token ids. Build the shard again.")
    expected = HEADER.size + 12 * sequences + 8 * document_index_length
    if size != expected or document_index_length == 0:
        fault = "is truncated" if size < expected else "has more bytes than its header explains"
        raise DataError(
            f"{path} {fault}: {size:,} bytes, {expected:,} expected for {sequences:,} sequences and "
            f"{document_index_length - 1:,} documents. Copy or build the shard again."
        )
    return DTYPES[code], sequences, document_index_length - 1


def _check_document_index(path: Path, idx: BinaryIO, sequences: int, documents: int) -> None:
    start = HEADER.size + 12 * sequences
    first, last = _integer(path, idx, start, "<q"), _integer(path, idx, start + 8 * documents, "<q")
    if (first, last) != (0, sequences):
        raise DataError(
            f"{path}: its documents span sequences {first:,} to {last:,}, and it has {sequences:,}: the index is "
            "damaged. Copy or build the shard again."
        )


def _described_bytes(path: Path, idx: BinaryIO, sequences: int, itemsize: int) -> int:
    """Bytes of .bin according to the last sequence."""
    if sequences == 0:
        return 0
    opening = _integer(path, idx, HEADER.size + 4 * sequences, "<q")
    length = _integer(path, idx, HEADER.size + 4 * (sequences - 1), "<i")
    pointer = _integer(path, idx, HEADER.size + 4 * sequences + 8 * (sequences - 1), "<q")
    if opening != 0 or length < 0 or pointer < 0 or pointer % itemsize:
        raise DataError(
            f"{path}: its first sequence begins at byte {opening:,}, its last one at {pointer:,} with {length:,} "
            f"tokens of {itemsize} bytes, which cannot be: the index is damaged. Copy or build the shard again."
        )
    return pointer + length * itemsize


def _integer(path: Path, file: BinaryIO, offset: int, form: str) -> int:
    file.seek(offset)
    raw = file.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise DataError(f"{path} became shorter while it was read.")
    return int(struct.unpack(form, raw)[0])


def _both_ends(file: BinaryIO, start: int, stop: int) -> bytes:
    """The first and the last bytes of a range, at most _SAMPLE_BYTES each."""
    file.seek(start)
    head = file.read(min(_SAMPLE_BYTES, stop - start))
    file.seek(max(start, stop - _SAMPLE_BYTES), os.SEEK_SET)
    return head + file.read(min(_SAMPLE_BYTES, stop - start))
