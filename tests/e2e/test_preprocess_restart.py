"""A build that is killed at any moment and started again gives the same bytes as one that was left alone."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from corpus_builds import children, content, kill_all, start, words
from small_disk import enlarge, small_disk

pytestmark = pytest.mark.slow

KILLS = 3


def test_kill_9_at_any_moment_and_the_same_command_again_gives_the_same_bytes(corpus_directory: Path) -> None:
    chance = random.Random(20)
    command = words(corpus_directory, corpus_directory / "killed" / "out", "--workers", "2")
    interrupted = 0
    for _ in range(KILLS):
        process = start(command)
        work = corpus_directory / "killed" / "out.work"
        marks = len(list(work.glob("encode.*.json"))) if work.exists() else 0
        while process.poll() is None and len(list(work.glob("encode.*.json"))) < marks + chance.randint(1, 5):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        interrupted += process.poll() is None
        kill_all(process)
    assert interrupted, "every build was over before it could be killed"
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert content(corpus_directory / "killed" / "out") == content(corpus_directory / "calm" / "out")


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(corpus_directory: Path) -> None:
    process = start(words(corpus_directory, corpus_directory / "worker" / "out", "--workers", "2"))
    work = corpus_directory / "worker" / "out.work"
    while not list(work.glob("encode.*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert content(corpus_directory / "worker" / "out") == content(corpus_directory / "calm" / "out")


def test_a_full_disk_is_said_and_what_is_done_is_kept(corpus_directory: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "500k"):
        prefix = tmp_path / "disk" / "shards" / "out"
        command = words(corpus_directory, prefix, "--workers", "2")
        full = subprocess.run(command, capture_output=True, text=True, check=False)
        assert full.returncode == 74, full.stderr
        assert "the disk is full" in full.stderr and "Traceback" not in full.stderr
        assert "the same command goes on" in full.stderr
        done = len(list(Path(f"{prefix}.work").glob("encode.*.json")))
        assert done
        enlarge(tmp_path / "disk", "50m")
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert re.search(r"(\d+) of (\d+) tasks to do", again.stderr)[1] != str(done)
        assert content(prefix) == content(corpus_directory / "calm" / "out")


def test_a_second_run_of_a_finished_build_does_nothing_and_says_so(corpus_directory: Path) -> None:
    prefix = corpus_directory / "calm" / "out"
    before = {path.name: path.stat().st_mtime_ns for path in prefix.parent.iterdir()}
    again = subprocess.run(
        words(corpus_directory, prefix, "--workers", "2"), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in prefix.parent.iterdir()} == before


@pytest.mark.parametrize("moment", ["withdrawn", "bin", "manifest"])
def test_a_build_killed_between_the_renames_is_completed(
    corpus_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The renames take a millisecond, too short to be hit from outside: each is interrupted from within."""
    from megakor.corpus import preprocess_command
    from megakor.corpus.build import publish

    arguments = words(corpus_directory, tmp_path / "shards" / "out")[2:]
    with monkeypatch.context() as patch:
        if moment == "withdrawn":
            patch.setattr(publish, "withdraw", _die)
        elif moment == "bin":
            patch.setattr(publish, "publish", _die_after(publish.publish, 2))
        else:
            patch.setattr(publish, "write_manifest", _die_after(publish.write_manifest, 1))
        with pytest.raises(KeyboardInterrupt):
            preprocess_command.main(arguments)
    assert json.loads((tmp_path / "shards" / "out.work" / "publish.all.json").read_text())
    assert preprocess_command.main(arguments) == 0
    assert content(tmp_path / "shards" / "out") == content(corpus_directory / "calm" / "out")


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def _die_after(function, calls: int):  # type: ignore[no-untyped-def]
    left = [calls]

    def counted(*arguments: object) -> object:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*arguments)

    return counted
