"""Arrays that stay in their file: reading a stretch, and searching a sorted one in a few reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from megakor.errors import DataError

_PAGE_NUMBERS = 512
"""64-bit numbers in a page of 4 KiB, what one probe of a search reads."""


def open_file(path: Path) -> BinaryIO:
    """Open for unbuffered reading. Raises DataError, in words."""
    try:
        return open(path, "rb", buffering=0)  # type: ignore[return-value]
    except FileNotFoundError:
        raise DataError(f"{path} is missing. A shard is a pair of files, PREFIX.bin and PREFIX.idx.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def read_array(file: BinaryIO, dtype: np.dtype, offset: int, count: int) -> np.ndarray:
    """`count` numbers from byte `offset`. Raises DataError if the file ends before them."""
    wanted = count * dtype.itemsize
    raw = bytearray()
    while len(raw) < wanted:
        part = os.pread(file.fileno(), wanted - len(raw), offset + len(raw))
        if not part:
            raise DataError(f"{file.name} is shorter than when the run opened it. It must not change while it is read.")
        raw += part
    return np.frombuffer(raw, dtype)


@dataclass(frozen=True)
class SortedNumbers:
    """Ascending int64 numbers in a file, from byte `offset`. None is above `bound`, which guides the search only."""

    offset: int
    count: int
    bound: int

    def read(self, file: BinaryIO, first: int, last: int) -> np.ndarray:
        """Numbers [first, last)."""
        return read_array(file, np.dtype("<i8"), self.offset + 8 * first, last - first)

    def first_at_least(self, file: BinaryIO, target: int, near: int | None = None) -> int:
        """Index of the first number >= target; `count` if there is none. `near` says where to look first.

        Documents are of one kind, so where a number lies is guessed by interpolation: two or three pages instead of
        one for each bisection. Every other guess bisects, which bounds the reads for any numbers.

        Raises DataError when the file ends too early, or numbers on the way are out of order.
        """
        low, high, low_value, high_value = 0, self.count, 0, self.bound
        bisect = False
        while low < high:
            part = 0.5 if bisect else (target - low_value) / max(1, high_value - low_value)
            guess = low + int((high - low) * min(max(part, 0.0), 1.0)) if near is None else near
            near = None
            first = max(low, min(guess, high) - _PAGE_NUMBERS // 2)
            page = self.read(file, first, min(high, first + _PAGE_NUMBERS))
            if np.any(page[1:] < page[:-1]):
                raise DataError(
                    f"{file.name}: its numbers {first:,} to {first + len(page):,} are out of order; the index is "
                    "damaged. `megakor corpus verify` says where."
                )
            if page[0] >= target:
                high, high_value = first, int(page[0])
            elif page[-1] < target:
                low, low_value = first + len(page), int(page[-1])
            else:
                return first + int(np.searchsorted(page, target))
            bisect = not bisect
        return low
