"""Inputs are found in a fixed order, cut without a gap, and hashed alike however they are cut."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from megakor import storage
from megakor.corpus.inputs import listing
from megakor.corpus.inputs.cutting import cut, hash_portion
from megakor.corpus.inputs.listing import list_inputs
from megakor.errors import DataError
from megakor.storage import hash_file, hash_of_pieces


def make_files(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"x")


def names_of(directory: Path, *patterns: str) -> list[str]:
    found = list_inputs([str(directory / pattern) for pattern in patterns])
    return [Path(file.path).relative_to(directory).as_posix() for file in found]


def test_globs_and_directories_are_sorted_and_a_file_is_taken_once(tmp_path: Path) -> None:
    make_files(tmp_path, "b.jsonl", "a.jsonl", "c.txt", "sub/d.jsonl.zst", "sub/deep/e.parquet", "sub/README.md")
    make_files(tmp_path, "sub/.hidden.jsonl", "sub/_temporary/f.jsonl")
    assert names_of(tmp_path, "*.jsonl", "a.jsonl", "sub/../b.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names_of(tmp_path, "c.txt", "*.jsonl") == ["c.txt", "a.jsonl", "b.jsonl"]
    assert names_of(tmp_path, "sub") == ["sub/d.jsonl.zst", "sub/deep/e.parquet"]
    assert names_of(tmp_path, "**/*.parquet") == ["sub/deep/e.parquet"]
    assert len(names_of(tmp_path, ".")) == 5


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", ("jsonl", None)),
        ("A.JSONL.GZ", ("jsonl", "gzip")),
        ("c4-train.00000-of-01024.json.gz", ("jsonl", "gzip")),
        ("a.txt.xz", ("text", "xz")),
        ("a.b.parquet", ("parquet", None)),
        ("a.arrow", ("arrow", None)),
    ],
)
def test_the_name_tells_the_kind(tmp_path: Path, name: str, kind: tuple[str, str | None]) -> None:
    make_files(tmp_path, name)
    (file,) = list_inputs([tmp_path / name])
    assert (file.kind, file.compression, file.bytes, file.name) == (*kind, 1, name)


@pytest.mark.parametrize("pattern", ["missing.jsonl", "*.nothing", "no/such/*.jsonl", "empty"])
def test_an_input_that_names_nothing_is_an_error(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no (such file|file of text)"):
        list_inputs([str(tmp_path / pattern)])


def test_unknown_kinds_pipes_and_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "a.csv", "b.parquet.gz", "c.jsonl", "d.jsonl")
    for name in ("a.csv", "b.parquet.gz"):
        with pytest.raises(DataError, match=rf"{name}: the kind of this file cannot be told"):
            list_inputs([tmp_path / name])
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        list_inputs([tmp_path / "pipe.jsonl"])
    monkeypatch.setattr(listing, "MAXIMUM_FILES", 1)
    with pytest.raises(DataError, match="more than 1 input files"):
        list_inputs([tmp_path / "c.jsonl", tmp_path / "d.jsonl"])


def test_a_link_to_a_directory_above_ends(tmp_path: Path) -> None:
    make_files(tmp_path, "data/a.jsonl")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    assert names_of(tmp_path, "data") == ["data/a.jsonl"]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 1000, 1001])
@pytest.mark.parametrize("task_bytes", [1, 60, 100, 5000])
def test_portions_cover_a_file_and_its_hash_does_not_depend_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, task_bytes: int
) -> None:
    monkeypatch.setattr(storage, "HASH_PIECE", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(os.urandom(size))
    portions = cut(5, list_inputs([path])[0], task_bytes)
    edges = [0, *(portion.byte_stop for portion in portions)]
    assert [portion.byte_start for portion in portions] == edges[:-1]
    assert edges[-1] == size
    assert all(0 < portion.byte_stop - portion.byte_start <= task_bytes for portion in portions)
    digests = [digest for portion in portions for digest in hash_portion(portion)]
    pieces = [path.read_bytes()[start : start + 100] for start in range(0, size, 100)]
    assert digests == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    joined = hashlib.sha256("".join(digests).encode()).hexdigest()
    assert hash_of_pieces(digests) == (hash_file(path) if size <= 100 else joined)


def test_a_compressed_file_is_one_portion_and_never_empty(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jsonl.zst")
    assert len(cut(0, list_inputs([tmp_path / "a.jsonl.zst"])[0], 1)) == 1
    (tmp_path / "b.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"b\.jsonl\.gz: empty: not a whole gzip file"):
        cut(0, list_inputs([tmp_path / "b.jsonl.gz"])[0], 1)
