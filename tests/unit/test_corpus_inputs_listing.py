"""Inputs are found in a fixed order, cut without a gap, and hashed alike however they are cut."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor import storage
from megakor.corpus.inputs import listing
from megakor.corpus.inputs.cutting import TaskSizes, cut, cut_all, hash_portion
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.records import InputFile
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
    make_files(tmp_path, "b.jsonl", "a.jsonl", "c.txt", "sub/d.jsonl.zst", "sub/deep/e.parquet", "sub/notes.pdf")
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
        ("a.md", ("text", None)),
        ("a.markdown.gz", ("text", "gzip")),
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


def test_files_of_other_kinds_are_left_out_and_counted(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jsonl", "b.md", "c.pdf", "sub/d.pdf", "sub/e.csv", "sub/README.md", "noend")
    told: list[str] = []
    assert [file.name for file in list_inputs([tmp_path], told.append)] == ["a.jsonl", "b.md"]
    assert told == [f"{tmp_path}: left out 5 files of other kinds (.pdf 2, noend 1, README.md 1, .csv 1)."]
    told.clear()
    assert [file.name for file in list_inputs([f"{tmp_path}/*"], told.append)] == ["a.jsonl", "b.md"]
    assert told == [f"{tmp_path}/*: left out 2 files of other kinds (.pdf 1, noend 1)."]
    assert [file.name for file in list_inputs([tmp_path / "sub" / "README.md"], told.append)] == ["README.md"]
    with pytest.raises(DataError, match=r"\.pdf: the kind of this file cannot be told"):
        list_inputs([f"{tmp_path}/*.pdf"])
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(DataError, match=r"left out 3 files of other kinds"):
        list_inputs([tmp_path / "sub"])


def test_every_ending_that_is_read_is_named_in_the_errors(tmp_path: Path) -> None:
    make_files(tmp_path, "a.csv")
    with pytest.raises(DataError) as refused:
        list_inputs([tmp_path / "a.csv"])
    for ending in (".ndjson", ".pq", ".feather", ".text", ".markdown", ".zstd", ".br"):
        assert ending in str(refused.value)


def test_a_saved_dataset_of_several_splits_must_be_named_by_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        make_files(tmp_path, f"saved/{split}/data.arrow")
        (tmp_path / "saved" / split / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    told: list[str] = []
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for name in (tmp_path, tmp_path / "saved"):
        with pytest.raises(DataError, match=r"the splits train, test; name the one to read, such as .*saved/train"):
            list_inputs([name])
    assert len(list_inputs([tmp_path / "saved" / "train"], told.append)) == 1
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["test"]}')
    (file,) = list_inputs([tmp_path], told.append)
    assert file.path.endswith("saved/test/data.arrow")
    assert told == [f"{tmp_path}/saved: a saved dataset of one split, test"]


def test_a_link_to_nothing_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone.jsonl")
    for pattern in (tmp_path, tmp_path / "b.jsonl", tmp_path / "*.jsonl"):
        with pytest.raises(DataError, match=r"b\.jsonl: a link to nothing \(.*gone\.jsonl\)"):
            list_inputs([pattern])
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "b.jsonl")
    with pytest.raises(DataError, match=r"b\.jsonl: a link to nothing"):
        list_inputs([tmp_path])


@pytest.mark.parametrize("pattern", ["hf:", "hf: ", "hf::train", "hf:::"])
def test_a_dataset_without_a_name_is_refused(pattern: str) -> None:
    with pytest.raises(DataError, match=r"names no dataset; write hf:NAME"):
        list_inputs([pattern])


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
    portions = cut(5, list_inputs([path])[0], TaskSizes(task_bytes))
    edges = [0, *(portion.byte_stop for portion in portions)]
    assert [portion.byte_start for portion in portions] == edges[:-1]
    assert edges[-1] == size
    assert all(0 < portion.byte_stop - portion.byte_start <= task_bytes for portion in portions)
    digests = [digest for portion in portions for digest in hash_portion(portion)]
    pieces = [path.read_bytes()[start : start + 100] for start in range(0, size, 100)]
    assert digests == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    joined = hashlib.sha256("".join(digests).encode()).hexdigest()
    assert hash_of_pieces(digests) == (hash_file(path) if size <= 100 else joined)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=5),
    task_bytes=st.integers(1, 200),
)
def test_inputs_of_several_tasks_end_in_small_ones(sizes: list[int], task_bytes: int) -> None:
    files = [InputFile(f"{number}.txt", "text", None, size) for number, size in enumerate(sizes)]
    portions = cut_all(files, task_bytes)
    for number, size in enumerate(sizes):
        mine = [portion for portion in portions if portion.file == number]
        assert [0, *(portion.byte_stop for portion in mine)] == [*(portion.byte_start for portion in mine), size]
    total, before = sum(sizes), 0
    for portion in portions:
        size, left = portion.byte_stop - portion.byte_start, total - before
        part = max((part for part in (1, 2, 4, 8) if left <= total // part), default=1) if total > task_bytes else 1
        assert 0 < size <= -(-task_bytes // part)
        before += size
    if total <= task_bytes:
        assert len(portions) == sum(size > 0 for size in sizes), "a small input is not cut"


def test_a_compressed_file_is_one_portion_and_never_empty(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jsonl.zst")
    assert len(cut(0, list_inputs([tmp_path / "a.jsonl.zst"])[0], TaskSizes(1))) == 1
    (tmp_path / "b.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"b\.jsonl\.gz: empty: not a whole gzip file"):
        cut(0, list_inputs([tmp_path / "b.jsonl.gz"])[0], TaskSizes(1))


@pytest.mark.parametrize("pattern", ["", "  ", "data/***.jsonl"])
def test_an_empty_name_and_a_wrong_glob_are_refused(pattern: str) -> None:
    with pytest.raises(DataError):
        list_inputs([pattern])


def test_a_directory_that_a_glob_cannot_enter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')

    def walk(top: Path, onerror: Callable[[OSError], None]) -> list[object]:
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "secret")))
        return []

    monkeypatch.setattr("os.walk", walk)  # the tests may run as root, whom nothing stops
    with pytest.raises(DataError, match=r"secret: cannot be read: Permission denied"):
        list_inputs([str(tmp_path / "**" / "*.jsonl")])
