"""Which endings of a run are worth another start."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_base import write

from megakor.checkpoint.manifest import MANIFEST
from megakor.errors import ExitCode
from megakor.launch.ending import code_of_ranks, conclude_attempt, main

AGAIN = ExitCode.REQUEUE


def save(run: Path, tokens: int) -> None:
    """What counts as a checkpoint here: a directory with a manifest."""
    path = run / "checkpoints" / f"tokens-{tokens:012d}"
    path.mkdir(parents=True)
    (path / MANIFEST).touch()


@pytest.mark.parametrize(("code", "meant"), [(0, 0), (75, 75), (65, 65), (-9, 70), (137, 70), (143, 70), (130, 130)])
def test_a_rank_that_a_signal_killed_was_lost(code: int, meant: int) -> None:
    assert code_of_ranks(code) == meant


@pytest.mark.parametrize("code", [ExitCode.DONE, ExitCode.USAGE, ExitCode.DATA, ExitCode.STORAGE, ExitCode.DIVERGED])
def test_what_another_start_would_not_mend_ends_the_run(tmp_path: Path, code: ExitCode) -> None:
    assert conclude_attempt(tmp_path, code, "41").code == code
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("code", [ExitCode.REQUEUE, ExitCode.LOST])
def test_a_run_that_gets_on_is_started_again_without_end(tmp_path: Path, code: ExitCode) -> None:
    for tokens in range(10):
        save(tmp_path, tokens)
        ending = conclude_attempt(tmp_path, code, "41")
        assert ending.code == AGAIN
        assert f"tokens-{tokens:012d}" in ending.words


def test_three_starts_in_a_row_that_saved_nothing_are_the_last(tmp_path: Path) -> None:
    codes = [conclude_attempt(tmp_path, code, "41").code for code in (70, 75, 70)]
    assert codes == [AGAIN, AGAIN, ExitCode.LOST]
    save(tmp_path, 1024)
    assert conclude_attempt(tmp_path, 70, "41").code == AGAIN, "a newer checkpoint begins the count anew"
    assert [conclude_attempt(tmp_path, 75, "41").code for _ in range(2)] == [AGAIN, AGAIN]
    assert conclude_attempt(tmp_path, 75, "42").code == AGAIN, "and so does a job that somebody submits"


def test_a_line_that_a_crash_cut_short_does_not_matter(tmp_path: Path) -> None:
    conclude_attempt(tmp_path, 70, "41")
    with (tmp_path / "logs/attempts.jsonl").open("ab") as file:
        file.write(b'{"code": 7')
    assert [conclude_attempt(tmp_path, 70, "41").code for _ in range(2)] == [AGAIN, ExitCode.LOST]


def test_the_batch_scripts_ask_by_code_and_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    run = tmp_path / "a run"
    words = [str(write(tmp_path)), f"run.dir={run}"]
    assert main(["137", *words]) == AGAIN
    assert "a rank was lost; goes on from its start" in capsys.readouterr().out
    assert '"job": "41"' in (run / "logs/attempts.jsonl").read_text()
    assert main(["76", *words]) == ExitCode.DIVERGED
    assert main(["75", str(tmp_path / "nowhere.yaml")]) == ExitCode.USAGE
