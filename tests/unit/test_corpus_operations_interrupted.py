"""Operations that are killed or meet a full disk: nothing half reads as whole, and the same command again works."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from operation_worlds import file_bytes, random_documents, write_shard

from megakor.cli import main
from megakor.errors import ExitCode

KILLED = """
import os, signal, sys
from importlib import import_module
from megakor.cli import main

place, name, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = import_module(place)
real = getattr(module, name)

def until_killed(*arguments, **options):
    global calls
    calls -= 1
    if calls < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)

setattr(module, name, until_killed)
sys.exit(main(sys.argv[4:]))
"""


@pytest.mark.parametrize(
    ("place", "name", "calls"),
    [
        ("megakor.corpus.operations.sorting", "write_run", 0),
        ("megakor.corpus.operations.sink", "write_manifest", 0),
        ("megakor.corpus.operations.workplace", "publish", 1),
        ("megakor.corpus.operations.workplace", "publish", 3),
    ],
)
def test_a_killed_shuffle_leaves_no_half_shard_and_can_be_done_again(
    tmp_path: Path, place: str, name: str, calls: int
) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(1500), {"quality": list(range(1500))})
    words = ["corpus", "shuffle", str(prefix), "--memory", "64", "--output"]
    killed = [sys.executable, "-c", KILLED, place, name, str(calls), *words, str(tmp_path / "out")]
    assert subprocess.run(killed, check=False).returncode == -9
    assert not (tmp_path / "out.idx").exists()
    assert (tmp_path / "out.bin").exists() == (name == "publish")
    assert main([*words, str(tmp_path / "out")]) == ExitCode.DONE
    assert main([*words, str(tmp_path / "other" / "out")]) == ExitCode.DONE
    assert file_bytes(tmp_path / "out") == file_bytes(tmp_path / "other" / "out")
    assert not (tmp_path / "out.scratch").exists()


@pytest.mark.parametrize("verb", ["shuffle", "split", "regroup"])
def test_what_is_killed_after_its_last_file_leaves_nothing_beside_the_output(tmp_path: Path, verb: str) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(300), {"quality": list(range(300))})
    options = {
        "shuffle": [],
        "split": ["--field", "quality", "--edges", "100,200"],
        "regroup": ["--row-tokens", "64", "--pad-id", "0"],
    }[verb]
    words = ["corpus", verb, str(prefix), *options, "--output", str(tmp_path / "out")]
    killed = [sys.executable, "-c", KILLED, "megakor.corpus.operations.workplace", "_empty", "1", *words]
    assert subprocess.run(killed, check=False).returncode == -9
    assert (tmp_path / "out.scratch").exists()
    assert main(words) == ExitCode.DONE
    assert not (tmp_path / "out.scratch").exists()


@pytest.mark.parametrize("verb", ["merge", "shuffle", "split", "deduplicate", "repeat"])
@pytest.mark.parametrize("room", [50, 2500])
def test_a_full_disk_is_an_error_of_storage_that_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, room: int
) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(400))
    words = [*(["--times", "2"] if verb == "repeat" else []), "--output", str(tmp_path / "out")]
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        assert main(["corpus", verb, str(prefix), *words]) == ExitCode.STORAGE
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert list(tmp_path.glob("out*")) == []
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["merge", "shuffle", "split"])
@pytest.mark.parametrize("older", [False, True])
def test_a_validation_shard_never_stays_where_its_training_shard_could_not_be_made(
    tmp_path: Path, verb: str, older: bool
) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(400))
    write_shard(tmp_path / "in.validation", random_documents(5), role="validation")
    words = ["corpus", verb, str(prefix), "--output", str(tmp_path / "out"), "--with-validation"]
    words += ["--field", "language"] if verb == "split" else []
    if older:
        assert main(words) == ExitCode.DONE
    training = [path for path in tmp_path.glob("out*") if ".validation." not in path.name]
    others = write_shard(tmp_path / "out-other.validation", random_documents(2), role="validation")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, most))
    try:
        assert main([*words, "--overwrite"]) == ExitCode.STORAGE
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    left = {path for path in tmp_path.glob("out*") if not path.name.startswith(others.name)}
    assert left == set(training) and file_bytes(others)
    assert main([*words, "--overwrite"]) == ExitCode.DONE
    assert list(tmp_path.glob("out*.validation.idx"))
