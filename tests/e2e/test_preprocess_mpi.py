"""Ranks of mpirun build one corpus together: the same bytes as one process, and none left waiting when one fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from corpus_builds import content, words

MPIRUN = Path(sys.executable).with_name("mpirun")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not MPIRUN.exists() and shutil.which("mpirun") is None, reason="no mpirun: pip install mpich, or megakor[test]"
    ),
]


def mpirun(ranks: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    program = str(MPIRUN) if MPIRUN.exists() else "mpirun"
    return subprocess.run([program, "-n", str(ranks), *command], capture_output=True, text=True, check=False)


def test_four_ranks_give_the_bytes_of_one_process(corpus_directory: Path) -> None:
    done = mpirun(4, words(corpus_directory, corpus_directory / "mpi" / "out"))
    assert done.returncode == 0, done.stderr
    assert "member 4 of 4 (MPI)" in done.stderr
    assert content(corpus_directory / "mpi" / "out") == content(corpus_directory / "calm" / "out")


def test_a_rank_that_fails_ends_all_with_its_code(corpus_directory: Path) -> None:
    (corpus_directory / "text" / "zz.jsonl").write_text('{"text": "fine"}\nnot json\n')
    try:
        failed = mpirun(2, words(corpus_directory, corpus_directory / "failed" / "out"))
    finally:
        (corpus_directory / "text" / "zz.jsonl").unlink()
    assert failed.returncode == 65, failed.stderr
    assert "zz.jsonl:2: not valid JSON" in failed.stderr
    assert "Traceback" not in failed.stderr
