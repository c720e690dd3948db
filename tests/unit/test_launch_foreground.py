"""Runs under mpirun and torchrun: started again where a rank was lost, ended where it was asked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from megakor.errors import ConfigError, ExitCode
from megakor.launch import foreground


def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """A stand-in for mpirun."""
    program = tmp_path / "mpirun"
    program.write_text(f"#!/bin/bash\necho start >>{tmp_path}/starts\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setattr(foreground, "_find", lambda name: str(program))
    return ["mpirun", "-n", "2", "megakor"]


def starts(tmp_path: Path) -> int:
    return (tmp_path / "starts").read_text().count("start")


def test_a_run_that_lost_a_rank_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = launcher(tmp_path, monkeypatch, f'[[ $(wc -l <"{tmp_path}/starts") == 2 ]] || exit 137')
    assert foreground.run_to_the_end(command, tmp_path / "run") == ExitCode.DONE
    assert starts(tmp_path) == 2


@pytest.mark.parametrize(("code", "given", "times"), [(65, 65, 1), (75, 75, 1), (137, 70, 3)])
def test_what_another_start_would_not_mend_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, given: int, times: int
) -> None:
    command = launcher(tmp_path, monkeypatch, f"exit {code}")
    assert foreground.run_to_the_end(command, tmp_path / "run") == given
    assert starts(tmp_path) == times


def test_a_run_that_was_asked_to_stop_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = f"trap 'exit 70' TERM; kill -s TERM {os.getpid()}; sleep 30 & wait"
    command = launcher(tmp_path, monkeypatch, told)
    before = signal.getsignal(signal.SIGTERM)
    assert foreground.run_to_the_end(command, tmp_path / "run") == ExitCode.LOST
    assert starts(tmp_path) == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_launcher_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="pip install"):
        foreground._find("no-such-launcher")
