"""The command line: help, dry runs without torch, options and overrides in any order, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from config_base import write

from megakor import __version__
from megakor.cli import main, parse
from megakor.errors import ConfigError, DataError, ExitCode, MegakorError

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "megatron", "tensorboard", "scipy", "tokenizers")
WITHOUT = f"""
import sys
from megakor.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
found = [name for name in {HEAVY!r} if name in sys.modules]
assert code == 0 and not found, (code, found)
"""


def in_a_fresh_process(*words: str) -> str:
    """Output of a verb that must end well and import none of HEAVY."""
    command = [sys.executable, "-c", WITHOUT, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout


def test_help_lists_the_verbs_and_imports_nothing_heavy() -> None:
    text = in_a_fresh_process("--help")
    assert all(verb in text for verb in ("pretrain", "ledger", "generate", "doctor"))


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"megakor {__version__}\n"


def test_a_dry_run_of_the_10b_model_needs_no_torch() -> None:
    text = in_a_fresh_process("pretrain", "configs/pretrain_10b.yaml", "--dry-run", "lr.peak=1e-4")
    assert "10.76B parameters" in text


@pytest.mark.parametrize(
    "words",
    [
        ["pretrain", "a.yaml", "--dry-run", "x=1", "y=2"],
        ["pretrain", "a.yaml", "x=1", "--dry-run", "y=2"],
        ["pretrain", "a.yaml", "x=1", "y=2", "--dry-run"],
        ["pretrain", "--dry-run", "a.yaml", "x=1", "y=2"],
    ],
)
def test_overrides_stand_before_and_after_options(words: list[str]) -> None:
    options = parse(words)
    assert (options.config, options.overrides, options.dry_run) == ("a.yaml", ["x=1", "y=2"], True)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "VERB"),
        (["train"], "train"),
        (["pretrain"], "config"),
        (["pretrain", "a.yaml", "x=1", "--dryrun"], "--dryrun"),
        (["pretrain", "a.yaml", "--nproc", "two"], "two"),
        (["ledger", "runs/a", "runs/b"], "runs/b"),
        (["generate", "runs/a"], "--prompt"),
    ],
)
def test_wrong_usage_names_the_word_and_ends_with_2(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == ExitCode.USAGE
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_a_dry_run_takes_the_override_after_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", str(write(tmp_path)), "--dry-run", "train.tokens=2M"]) == ExitCode.DONE
    assert "2M tokens" in capsys.readouterr().out


def test_data_that_is_not_here_is_an_error_only_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", str(write(tmp_path)), "--dry-run"]
    assert main(words) == ExitCode.DONE
    assert main([*words, "--check-data"]) == ExitCode.USAGE
    assert "nowhere/ko.bin" in capsys.readouterr().err


def test_a_run_of_several_nodes_is_not_started_on_one_by_accident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    started: list[int] = []
    monkeypatch.setattr("megakor.launch.local.start_ranks", lambda words, ranks, *_: started.append(ranks) or 0)
    words = ["pretrain", str(write(tmp_path)), "cluster.nodes=2"]
    assert main(words) == ExitCode.USAGE
    assert "cluster.nodes is 2" in capsys.readouterr().err
    assert main([*words, "--dry-run"]) == ExitCode.DONE
    assert main([*words, "--nproc", "2"]) == ExitCode.DONE
    assert started == [2]


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def verb(options: object) -> int:
        raise error

    monkeypatch.setattr("megakor.cli._doctor", verb)
    return main(["doctor"])


@pytest.mark.parametrize("kind", [MegakorError, *MegakorError.__subclasses__()])
def test_every_kind_of_error_is_one_sentence_with_its_exit_code(
    kind: type[MegakorError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(kind("it rains"), monkeypatch) == kind.exit_code
    assert capsys.readouterr().err == "error: it rains\n"


def test_an_interrupt_from_the_keyboard_ends_as_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert raising(KeyboardInterrupt(), monkeypatch) == 130


def test_what_all_ranks_meet_is_told_by_the_first_of_a_machine_and_what_one_meets_by_that_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "8")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert raising(ConfigError("of this machine"), monkeypatch) == ExitCode.USAGE
    assert capsys.readouterr().err == "error: of this machine\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert raising(ConfigError("of all"), monkeypatch) == ExitCode.USAGE
    assert capsys.readouterr().err == ""
    assert raising(DataError("of one"), monkeypatch) == ExitCode.DATA
    assert capsys.readouterr().err == "error: of one\n"


def test_the_exit_codes_are_documented() -> None:
    page = (REPOSITORY / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    assert {str(int(code)) for code in ExitCode} | {"130"} <= rows
