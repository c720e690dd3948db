"""Runs and their merge: the documents of all runs by key, whatever the ranges."""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.corpus.build import merge as merging
from megakor.corpus.build import runs as building_runs
from megakor.corpus.build.encode import joined
from megakor.corpus.build.finish import write_side_files
from megakor.corpus.build.merge import create_bin, merge_bucket, plan_merge
from megakor.corpus.build.runs import Run, write_run
from megakor.corpus.metadata import read_metadata
from megakor.corpus.shard import ShardReader
from megakor.errors import DataError

documents = st.dictionaries(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 60_000), max_size=9), max_size=30)


def write(directory: Path, name: str, given: dict[int, list[int]]) -> None:
    keys = np.array(list(given), dtype=np.uint64)
    rows = pa.table({"source": [name] * len(given), "language": ["ko"] * len(given), "text_bytes": [1] * len(given)})
    tokens = np.array([token for ids in given.values() for token in ids], dtype=np.uint16)
    write_run(directory, name, tokens, np.array([len(ids) for ids in given.values()], dtype=np.int64), keys, rows)


@given(documents, st.integers(1, 4), st.sampled_from([10, 60, 10_000]), st.sampled_from([1, 9, 100]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_merge_is_the_sorted_union_of_the_runs(
    given: dict[int, list[int]], count: int, bucket_bytes: int, piece_bytes: int, shuffled: bool
) -> None:
    parts = [dict(list(given.items())[n::count]) for n in range(count)]
    if not shuffled:  # runs of a build that keeps the order follow each other
        ordered = sorted(given.items())
        parts = [dict(ordered[n * len(ordered) // count : (n + 1) * len(ordered) // count]) for n in range(count)]
    names = [f"run{n}" for n in range(count)]
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "BUCKET_BYTES", bucket_bytes)
        patch.setattr(building_runs, "_PIECE_BYTES", piece_bytes)
        directory = Path(made)
        for name, part in zip(names, parts, strict=True):
            write(directory, name, part)
        merge, buckets = plan_merge(directory, "training", names, "uint16", shuffled)
        create_bin(merge, sum(map(len, given.values())))
        for bucket in reversed(buckets):
            merge_bucket(merge, bucket)
        write_side_files(merge, buckets)
        shard = ShardReader(directory / "training")
        whole = [token for _, ids in sorted(given.items()) for token in ids]
        assert shard.read(0, shard.tokens).tolist() == whole
        assert shard.documents == len(given)
        owner = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        rows = [row for batch in read_metadata(directory / "training") or () for row in batch["source"].to_pylist()]
        assert rows == [owner[key] for key in sorted(given)]


@given(
    st.lists(st.tuples(*[st.lists(st.integers(0, 9), max_size=4)] * 3), max_size=6), st.lists(st.just(7), max_size=1)
)
def test_parts_are_joined_document_by_document(given: list[tuple[list[int], ...]], tail: list[int]) -> None:
    columns = []
    for part in range(3):
        ids = [document[part] for document in given]
        starts = np.cumsum([0, *map(len, ids)])
        columns.append((np.array([*chain.from_iterable(ids)], dtype=np.uint16), starts))
    expected = [token for document in given for token in (*document[0], *document[1], *document[2], *tail)]
    assert joined(columns, np.array(tail, dtype=np.uint16)).tolist() == expected


def test_a_truncated_run_is_named(tmp_path: Path) -> None:
    write(tmp_path, "run", {1: [1, 2, 3], 9: [4, 5]})
    (tmp_path / "run.tokens").write_bytes(b"\0\0")
    with pytest.raises(DataError, match=r"run\.tokens is truncated"):
        Run(tmp_path, "run", np.dtype(np.uint16)).part(0, 2**64)


def test_a_run_that_has_grown_is_named_before_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, "run", {1: [1, 2, 3], 9: [4, 5]})
    run, room = Run(tmp_path, "run", np.dtype(np.uint16)), np.zeros(5, np.uint16)
    whole = run.part(0, 2**64, room)
    assert whole is not None and np.shares_memory(whole.tokens, room) and room.tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"run\.tokens has more tokens than it had"):
        run.part(0, 2**64, room[:4])
