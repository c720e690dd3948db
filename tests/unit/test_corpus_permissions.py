"""Files and directories that this user may not read, and names that no file can have: sentences, and no damage."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole_shards import random_documents, write_whole_shard

from megakor.cli import main
from megakor.errors import ExitCode

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Root may read everything, so it is another user for that long."""
    before = path.stat().st_mode
    path.chmod(0)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(NOBODY)
        yield
    finally:
        if root:
            os.seteuid(0)
        path.chmod(before)


@pytest.mark.parametrize("words", [["verify"], ["stats"], ["inspect"], ["shuffle", "--output", "/nowhere/out"]])
@pytest.mark.parametrize("below", ["x", "x.idx", ""])
def test_a_directory_that_may_not_be_entered_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], below: str
) -> None:
    write_whole_shard(place / "closed" / "x", random_documents(1, 5))
    write_whole_shard(place / "y", random_documents(1, 5))
    with forbidden(place / "closed"):
        assert main(["corpus", *words, str(place / "closed" / below)]) == ExitCode.DATA
        assert main(["corpus", *words, str(place)]) == ExitCode.DATA
    error = capsys.readouterr().err
    assert error.count("cannot be read: Permission denied") == 2 and str(place / "closed") in error


@pytest.mark.parametrize("suffix", [".idx", ".bin", ".parquet", ".json"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(
    place: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    write_whole_shard(place / "a", random_documents(1, 5))
    write_whole_shard(place / "b", random_documents(1, 5))
    with forbidden(place / f"a{suffix}"):
        assert main(["corpus", "verify", str(place)]) == ExitCode.DATA
        said = capsys.readouterr().out
        assert main(["corpus", "verify", "--json", "--quick", str(place / "a")]) == ExitCode.DATA
    assert "DAMAGED" not in said and f"{place}/a: NOT CHECKED (it may not be read)" in said
    assert f"{place}/a{suffix}: cannot be read: Permission denied" in said and f"{place}/b: whole" in said
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["damaged"], len(record["unreadable"])) == (False, 1)
    assert main(["corpus", "verify", str(place)]) == ExitCode.DONE


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = write_whole_shard(tmp_path / "a", random_documents(1, 5))
    long = str(tmp_path / ("b" * 300))
    for verb in ("verify", "stats", "inspect"):
        assert main(["corpus", verb, long]) == ExitCode.DATA
    assert main(["corpus", "shuffle", str(prefix), "--output", long]) == ExitCode.STORAGE
    assert capsys.readouterr().err.count("File name too long") == 4
