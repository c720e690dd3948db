"""What `megakor tensorboard` says of runs and addresses that it cannot serve (tests/e2e has the real server)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from megakor.cli import main
from megakor.errors import ExitCode
from megakor.report.watch import _name, is_loopback


def test_what_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tensorboard", str(tmp_path / "runs")]) == ExitCode.DATA
    assert f"error: {tmp_path / 'runs'} is not there" in capsys.readouterr().err


def test_a_run_without_event_files_is_not_shown_as_an_empty_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").mkdir()
    assert main(["tensorboard", str(tmp_path)]) == ExitCode.DATA
    assert "no event files yet" in capsys.readouterr().err


def test_a_port_in_use_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["tensorboard", str(tmp_path), "--port", str(taken.getsockname()[1])]) == ExitCode.HARDWARE
    told = capsys.readouterr().err
    assert "Choose another --port" in told and "Traceback" not in told


@pytest.mark.parametrize("port", ["-1", "65536", "6006a", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tensorboard", "runs", f"--port={port}"])
    assert "is no port" in capsys.readouterr().err


def test_runs_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other"]
    assert len({_name(run, runs) for run in runs}) == 3
    assert [_name(run, runs) for run in [runs[2]]] == ["other"]


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("node", False)]
)
def test_addresses_of_this_machine_alone_are_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
