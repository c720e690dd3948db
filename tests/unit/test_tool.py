"""Every program in tools/ ends in words and with a documented code, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from megakor.errors import DataError, ExitCode
from megakor.tool import run_tool

TOOLS = sorted((Path(__file__).parents[2] / "tools").glob("*.py"))


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(DataError("bad."), ExitCode.DATA, "error: bad.\n"), (KeyboardInterrupt(), 130, "interrupted\n")],
)
def test_what_ends_a_command_is_one_line_and_its_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def command() -> int:
        raise error

    monkeypatch.setattr("megakor.corpus.commands.make_sample_corpus", command)
    assert run_tool("megakor.corpus.commands", "make_sample_corpus") == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_runs_in_the_wrapper_and_its_command_is_there(tool: Path) -> None:
    assert "run_tool(" in tool.read_text()
    ended = subprocess.run([sys.executable, str(tool), "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("def main():\n    while True:\n        print('line', flush=True)\n")
    code = "import sys; from megakor.tool import run_tool; sys.exit(run_tool('endless', 'main'))"
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_ctrl_c_while_a_tool_works_is_one_line(tmp_path: Path) -> None:
    tool = next(path for path in TOOLS if path.name == "make_sample_corpus.py")
    command = [sys.executable, str(tool), "--output", str(tmp_path / "out"), "--megabytes", "500"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted\n")
