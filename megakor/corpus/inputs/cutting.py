"""How an input is cut into portions that tasks can read apart from each other. Only metadata is read."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

from megakor.corpus.inputs import arrow, dataset, parquet
from megakor.corpus.inputs.kinds import ARROW, DATASET, PARQUET
from megakor.corpus.inputs.records import InputFile, Portion
from megakor.errors import DataError
from megakor.storage import hash_pieces


def cut(file_number: int, file: InputFile, task_bytes: int) -> list[Portion]:
    """Portions of about `task_bytes` bytes of the file, in its order; none for an empty text.

    Plain text is cut anywhere (a line belongs to the portion in which it begins), Parquet between row groups, Arrow
    files between record batches, datasets between their shards; a compressed file or an Arrow stream is one portion.
    Raises DataError for a file whose metadata cannot be read.
    """
    if file.kind == DATASET:
        shards = range(dataset.count_shards(file.path))
        return [Portion(file_number, file.path, file.kind, None, 0, 0, shard, shard + 1) for shard in shards]
    if file.kind == PARQUET:
        return _by_items(file_number, file, parquet.group_sizes(file.path), task_bytes)
    if file.kind == ARROW:
        rows = [0, *accumulate(arrow.batch_rows(file.path))]
        portions = _by_items(file_number, file, [stop - start for start, stop in pairwise(rows)], task_bytes)
        return [replace(portion, first_row=rows[portion.item_start]) for portion in portions]
    if file.compression:
        if not file.bytes:
            raise DataError(f"{file.path}: empty: not a whole {file.compression} file; fetch or pack it again.")
        return [Portion(file_number, file.path, file.kind, file.compression, 0, file.bytes)]
    pieces = -(-file.bytes // task_bytes)
    edges = [file.bytes * piece // pieces for piece in range(pieces + 1)] if pieces else []
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


def _by_items(number: int, file: InputFile, sizes: list[int], task_bytes: int) -> list[Portion]:
    """Runs of items of these relative sizes that hold about `task_bytes` of the file together.

    The bytes of a portion are its share of the file: items need not stand in order there. A file without items is one
    portion that gives no document.
    """
    ends = list(accumulate(sizes, initial=0))
    before = [file.bytes * end // max(1, ends[-1]) for end in ends]
    edges = [0]
    for item in range(1, len(sizes)):
        if before[item] - before[edges[-1]] >= task_bytes:
            edges.append(item)
    edges.append(len(sizes))
    starts = [*(before[edge] for edge in edges[:-1]), file.bytes]
    return [
        Portion(number, file.path, file.kind, None, *span, *items)
        for span, items in zip(pairwise(starts), pairwise(edges), strict=True)
    ]
