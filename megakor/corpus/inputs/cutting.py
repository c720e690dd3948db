"""How an input is cut into portions that tasks can read apart from each other. Only metadata is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from pathlib import Path

from megakor.corpus.inputs import arrow, dataset, parquet
from megakor.corpus.inputs.kinds import ARROW, DATASET, PARQUET
from megakor.corpus.inputs.records import InputFile, Portion
from megakor.errors import DataError
from megakor.storage import hash_pieces

TAPERS = (2, 4, 8)
"""From the last half, quarter and eighth of the inputs on, tasks are so many times smaller."""


@dataclass(frozen=True)
class TaskSizes:
    """How large tasks are: smaller towards the end, so that workers who take large ones first end at about the same
    time (factoring: Hummel, Schonberg and Flynn 1992)."""

    most: int
    """Bytes of a task at the beginning."""
    total: int = 0
    """Bytes of all inputs; where one task holds them all, and at 0, nothing becomes smaller."""

    @property
    def changes(self) -> dict[int, int]:
        """Position in all inputs -> bytes of tasks that begin there or later."""
        tapers = TAPERS if self.total > self.most else ()
        return {0: self.most} | {self.total - self.total // part: -(-self.most // part) for part in tapers}

    def at(self, position: int) -> int:
        """Bytes of a task that begins there."""
        return [size for start, size in self.changes.items() if start <= position][-1]


def cut_all(files: Sequence[InputFile], task_bytes: int) -> list[Portion]:
    """Portions of all inputs, in their order. Raises as `cut`."""
    sizes = TaskSizes(task_bytes, sum(file.bytes for file in files))
    before = accumulate((file.bytes for file in files), initial=0)
    cuts = (cut(number, file, sizes, start) for (number, file), start in zip(enumerate(files), before, strict=False))
    return list(chain.from_iterable(cuts))


def cut(file_number: int, file: InputFile, sizes: TaskSizes, before: int = 0) -> list[Portion]:
    """Portions of the file of about these sizes, in its order; none for an empty text. `before` are the bytes of the
    inputs in front of it.

    Plain text is cut anywhere (a line belongs to the portion in which it begins), Parquet between row groups, Arrow
    files between record batches, datasets between their shards; a compressed file or an Arrow stream is one portion.
    Raises DataError for a file whose metadata cannot be read.
    """

    def most(start: int) -> int:
        return sizes.at(before + start)

    if file.kind == DATASET:
        shards = range(dataset.count_shards(file.path))
        return [Portion(file_number, file.path, file.kind, None, 0, 0, shard, shard + 1) for shard in shards]
    if file.kind == PARQUET:
        return _by_items(file_number, file, parquet.group_sizes(file.path), most)
    if file.kind == ARROW:
        rows = [0, *accumulate(arrow.batch_rows(file.path))]
        portions = _by_items(file_number, file, [stop - start for start, stop in pairwise(rows)], most)
        return [replace(portion, first_row=rows[portion.item_start]) for portion in portions]
    if file.compression:
        if not file.bytes:
            raise DataError(f"{file.path}: empty: not a whole {file.compression} file; fetch or pack it again.")
        return [Portion(file_number, file.path, file.kind, file.compression, 0, file.bytes)]
    changes = {min(max(position - before, 0), file.bytes) for position in sizes.changes}
    edges = [0]
    for start, stop in pairwise(sorted({*changes, 0, file.bytes})):
        edges += _evenly(start, stop, most(start))
    return [Portion(file_number, file.path, file.kind, None, start, stop) for start, stop in pairwise(edges)]


def hash_portion(portion: Portion) -> list[str]:
    """SHA-256 of the pieces of the file that begin inside the portion (see `megakor.storage.hash_pieces`).

    The digests of a file's portions, joined in order, are those of the whole file. A dataset has no file: none.
    """
    if portion.kind == DATASET:
        return []
    try:
        return hash_pieces(Path(portion.path), portion.byte_start, portion.byte_stop)
    except OSError as error:
        raise DataError(f"{portion.path}: cannot be read: {error.strerror}.") from error


def _evenly(start: int, stop: int, most: int) -> list[int]:
    """The ends of pieces of a span, as equal as may be and none above `most`."""
    pieces = -(-(stop - start) // most)
    return [start + (stop - start) * piece // pieces for piece in range(1, pieces + 1)]


def _by_items(number: int, file: InputFile, sizes: list[int], most: Callable[[int], int]) -> list[Portion]:
    """Runs of items of these relative sizes that hold about as many bytes of the file together as `most` says for the
    byte where a run begins.

    The bytes of a portion are its share of the file: items need not stand in order there. A file without items is one
    portion that gives no document.
    """
    ends = list(accumulate(sizes, initial=0))
    before = [file.bytes * end // max(1, ends[-1]) for end in ends]
    edges = [0]
    for item in range(1, len(sizes)):
        if before[item] - before[edges[-1]] >= most(before[edges[-1]]):
            edges.append(item)
    edges.append(len(sizes))
    starts = [*(before[edge] for edge in edges[:-1]), file.bytes]
    return [
        Portion(number, file.path, file.kind, None, *span, *items)
        for span, items in zip(pairwise(starts), pairwise(edges), strict=True)
    ]
