"""Filtering, and what all operations share: outputs that are whole or absent, history, refusals."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import file_bytes, random_documents, read_shard, write_shard

from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import filter as filtering
from megakor.corpus.operations import sink
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.filter import FilterOptions, filter_documents
from megakor.corpus.operations.workplace import Output, workplace
from megakor.corpus.shard_writer import ShardWriter
from megakor.errors import ConfigError, DataError, StorageError
from megakor.storage import hash_file

QUALITY = FilterOptions(where="quality >= 3 and not synthetic")
COLUMNS = {"quality": [1, 2, 3, 4, 5, None, 3, 4, 5, 1], "synthetic": [False, True] * 5}


def silent(_: str) -> None: ...


def ten(tmp_path: Path) -> Path:
    return write_shard(tmp_path / "in", random_documents(10), COLUMNS)


def test_filtered_documents_keep_their_rows_and_order(tmp_path: Path) -> None:
    prefix = ten(tmp_path)
    filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)
    assert read_shard(tmp_path / "out") == [read_shard(prefix)[number] for number in (2, 4, 6, 8)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 9), st.integers(0, 9))
def test_bounds_of_length_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], low: int, high: int
) -> None:
    place = tmp_path_factory.mktemp("bounds")
    documents = [[7] * length for length in lengths]
    prefix = write_shard(place / "in", documents)
    kept = [tuple(ids) for ids in documents if low <= len(ids) <= max(low, high)]
    options = FilterOptions(min_tokens=low, max_tokens=max(low, high))
    if not kept:
        with pytest.raises(DataError, match="no document is left"):
            filter_documents([prefix], Output(place / "out"), options, silent)
        return
    filter_documents([prefix], Output(place / "out"), options, silent)
    assert [ids for ids, _ in read_shard(place / "out")] == kept


def test_an_expression_may_speak_of_the_length(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", [[1, 0], [1, 2, 0], [0]])
    filter_documents([prefix], Output(tmp_path / "out"), FilterOptions(where="tokens in (1, 3)"), silent)
    assert [ids for ids, _ in read_shard(tmp_path / "out")] == [(1, 2, 0), (0,)]


def test_the_manifest_is_counted_again_and_keeps_its_history(tmp_path: Path) -> None:
    first = filter_documents([ten(tmp_path)], Output(tmp_path / "a"), QUALITY, silent)
    second = filter_documents([tmp_path / "a"], Output(tmp_path / "b"), FilterOptions(min_tokens=1), silent)
    manifest = read_manifest(tmp_path / "b")
    assert manifest == second and first is not None and manifest is not None
    documents = read_shard(tmp_path / "b")
    assert manifest.documents == len(documents) == 4
    assert manifest.tokens == sum(len(ids) for ids, _ in documents)
    assert manifest.text_bytes == sum(row["text_bytes"] for _, row in documents)
    assert dataclasses.astuple(manifest.counts["language"]["ko"]) == (4, manifest.tokens, manifest.text_bytes)
    assert [entry["name"] for entry in manifest.operations] == ["filter", "filter"]
    assert manifest.operations[0]["options"]["where"] == QUALITY.where
    assert manifest.operations[1]["inputs"][0]["documents"] == 4
    for name in ("bin", "idx", "parquet"):
        assert manifest.checksums[name] == hash_file(tmp_path / f"b.{name}")


def test_a_shard_without_a_manifest_gives_one_without(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(5), with_manifest=False, with_metadata=False)
    said: list[str] = []
    assert filter_documents([prefix], Output(tmp_path / "out"), FilterOptions(min_tokens=0), said.append) is None
    assert set(file_bytes(tmp_path / "out")) == {".bin", ".idx", ".parquet"}
    assert any("tokenizer is not known" in line for line in said)
    assert any("sources and bytes of text are not known" in line for line in said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (FilterOptions(), "nothing is filtered"),
        (FilterOptions(min_tokens=3, max_tokens=2), "above"),
        (FilterOptions(where="qualty > 3"), "did you mean quality"),
        (FilterOptions(where="quality > "), "column 11"),
        (FilterOptions(where="quality > 'a'"), "compared with"),
    ],
)
def test_wrong_options_are_refused_before_any_work(tmp_path: Path, options: FilterOptions, words: str) -> None:
    prefix = ten(tmp_path)
    with pytest.raises(ConfigError, match=words):
        filter_documents([prefix], Output(tmp_path / "out"), options, silent)
    assert file_bytes(tmp_path / "out") == {}


def test_an_output_that_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    prefix = ten(tmp_path)
    write_shard(tmp_path / "out", random_documents(3, seed=9))
    before = file_bytes(tmp_path / "out")
    with pytest.raises(ConfigError, match="--overwrite"):
        filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)
    assert file_bytes(tmp_path / "out") == before
    filter_documents([prefix], Output(tmp_path / "out", overwrite=True), QUALITY, silent)
    assert len(read_shard(tmp_path / "out")) == 4


def test_outputs_that_would_destroy_something_are_refused(tmp_path: Path) -> None:
    prefix = ten(tmp_path)
    with pytest.raises(ConfigError, match="an input too"):
        filter_documents([prefix], Output(prefix, overwrite=True), QUALITY, silent)
    (tmp_path / "built.work").mkdir()
    with pytest.raises(ConfigError, match="not finished"):
        filter_documents([prefix], Output(tmp_path / "built", overwrite=True), QUALITY, silent)
    write_shard(tmp_path / "out.validation", random_documents(3))
    with pytest.raises(ConfigError, match="may not be held out from"):
        filter_documents([prefix], Output(tmp_path / "out", overwrite=True), QUALITY, silent)


def test_one_output_is_made_by_one_process_at_a_time(tmp_path: Path) -> None:
    prefix = ten(tmp_path)
    with workplace(tmp_path / "out"), pytest.raises(StorageError, match="in use"):
        filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)


@pytest.mark.parametrize("lock", ["process 1 on there\n", ""])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, lock: str) -> None:
    prefix = ten(tmp_path)
    (tmp_path / "out.scratch" / "deep").mkdir(parents=True)
    (tmp_path / "out.scratch" / ".out.bin.1.tmp").write_bytes(b"half")
    (tmp_path / "out.scratch" / "lock").write_text(lock)
    filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)
    assert set(file_bytes(tmp_path / "out")) == {".bin", ".idx", ".parquet", ".json"}
    assert not (tmp_path / "out.scratch").exists()


@pytest.mark.parametrize("name", ["notes.txt", "lock", ".hidden"])
def test_a_directory_of_somebody_else_is_never_emptied(tmp_path: Path, name: str) -> None:
    prefix = ten(tmp_path)
    (tmp_path / "out.scratch").mkdir()
    (tmp_path / "out.scratch" / name).write_text("years of work")
    with pytest.raises(ConfigError, match=r"out\.scratch is where this command would work, and it holds files"):
        filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)
    assert [path.name for path in (tmp_path / "out.scratch").iterdir()] == [name]
    assert (tmp_path / "out.scratch" / name).read_text() == "years of work"


def test_an_empty_directory_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "out.scratch").mkdir()
    filter_documents([ten(tmp_path)], Output(tmp_path / "out"), QUALITY, silent)
    assert not (tmp_path / "out.scratch").exists()


def test_a_full_disk_is_told_and_leaves_the_older_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = ten(tmp_path)
    write_shard(tmp_path / "out", random_documents(3, seed=9))
    before = file_bytes(tmp_path / "out")

    class FullDisk(ShardWriter):
        def add_documents(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
            os.dup2(os.open("/dev/full", os.O_WRONLY), self._file.fileno())
            super().add_documents(tokens, lengths)

    monkeypatch.setattr(sink, "ShardWriter", FullDisk)
    with pytest.raises(StorageError, match="disk is full"):
        filter_documents([prefix], Output(tmp_path / "out", overwrite=True), QUALITY, silent)
    assert file_bytes(tmp_path / "out") == before


@pytest.mark.parametrize("suffix", [".bin", ".idx", ".parquet", ".json"])
def test_no_file_that_cannot_be_written_is_passed_over(tmp_path: Path, suffix: str) -> None:
    prefix = ten(tmp_path)
    filter_documents([prefix], Output(tmp_path / "whole"), QUALITY, silent)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / f"whole{suffix}").stat().st_size - 1, most))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            filter_documents([prefix], Output(tmp_path / "out"), QUALITY, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert list(tmp_path.glob("out*")) == []


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[DocumentBatch]:
        raise DataError("the input is damaged")
        yield

    monkeypatch.setattr(filtering, "_kept", broken)
    with pytest.raises(DataError, match="damaged"):
        filter_documents([ten(tmp_path)], Output(tmp_path / "out"), QUALITY, silent)
    assert list(tmp_path.glob("out*")) == []
