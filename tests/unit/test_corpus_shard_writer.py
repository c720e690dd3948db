"""Shards are Megatron's bytes, and appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

from megakor.corpus.shard_writer import ShardWriter, shard_file, token_dtype
from megakor.errors import DataError, StorageError

DOCUMENTS = [[1, 2, 3], [7], [], [60_000, 5, 5, 5], list(range(500))]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_a_shard_has_the_bytes_that_megatron_writes(tmp_path: Path, dtype: type) -> None:
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=dtype)
    for document in DOCUMENTS:
        builder.add_document(torch.tensor(document, dtype=torch.int64), [len(document)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    with ShardWriter(tmp_path / "ours", np.dtype(dtype)) as writer:
        for document in DOCUMENTS:
            writer.add_document(document)
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()
    assert writer.index_bytes == (tmp_path / "ours.idx").stat().st_size


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 40), max_size=30), chunk=st.integers(1, 7))
def test_the_index_does_not_depend_on_the_chunks_it_is_written_in(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    contents = []
    for name, size in (("whole", 1_000_000), ("pieces", chunk)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("megakor.corpus.shard_writer._CHUNK", size)
            with ShardWriter(folder / name, np.dtype(np.uint16)) as writer:
                for length in lengths:
                    writer.add_document(np.zeros(length, dtype=np.uint16))
        contents.append((folder / f"{name}.idx").read_bytes())
    assert contents[0] == contents[1]


def test_nothing_remains_of_a_shard_whose_writing_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "shard", np.dtype(np.uint16)) as writer:
        writer.add_document([1, 2])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_and_the_older_shard_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ShardWriter(tmp_path / "shard", np.dtype(np.uint16)) as writer:
        writer.add_document([1, 2, 3])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = r"shard\.bin: cannot be written: the disk is full"
    with pytest.raises(StorageError, match=message), ShardWriter(tmp_path / "shard", np.dtype(np.uint16)) as writer:
        writer.add_document([9])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_output_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        ShardWriter(tmp_path / "file" / "shard", np.dtype(np.uint16))


@pytest.mark.parametrize("ids", [[65_536], [-1], np.array([70_000], dtype=np.int64)])
def test_an_id_beyond_the_dtype_is_refused_not_wrapped(tmp_path: Path, ids: list[int]) -> None:
    with pytest.raises(DataError, match="do not fit uint16"), ShardWriter(tmp_path / "s", np.dtype("uint16")) as writer:
        writer.add_document(ids)


def test_the_dtype_follows_the_vocabulary_as_in_megatron() -> None:
    assert token_dtype(65_499) == np.uint16
    assert token_dtype(65_500) == np.int32


def test_dots_in_a_prefix_are_kept(tmp_path: Path) -> None:
    assert shard_file(tmp_path / "corpus.v2", ".bin").name == "corpus.v2.bin"
