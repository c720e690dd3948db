"""The corpus tools as commands: they work together, and end with the exit code of what went wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from corpus_world import small_texts, write_jsonl

from megakor.corpus import commands, tokenizer_commands
from megakor.corpus.manifest import read_manifest
from megakor.errors import StorageError

TOOLS = Path(__file__).parents[2] / "tools"


def run_tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_three_tools_make_shards_from_nothing(tmp_path: Path) -> None:
    assert run_tool("make_sample_corpus.py", "--output", tmp_path, "--megabytes", "0.05").returncode == 0
    inputs = [f"{language}={tmp_path / language}.jsonl" for language in ("ko", "en")]
    trained = run_tool("train_tokenizer.py", "--input", *inputs, "--vocab-size", "600", "--output", tmp_path / "t")
    assert trained.returncode == 0, trained.stderr
    arguments = [
        "--input",
        tmp_path / "ko.jsonl",
        "--output-prefix",
        tmp_path / "ko",
        "--tokenizer-model",
        tmp_path / "t",
    ]
    arguments += ["--tokenizer-type", "HuggingFaceTokenizer", "--json-keys", "text", "--append-eod", "--workers", "2"]
    built = run_tool("preprocess_data.py", *arguments, "--language", "ko")
    assert built.returncode == 0, built.stderr
    manifest = read_manifest(tmp_path / "ko")
    assert manifest is not None and manifest.documents > 20
    assert "training documents" in built.stderr


def test_bad_data_ends_a_command_with_65_and_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"text": "\xb0\xa1"}\n')
    failed = run_tool(
        "train_tokenizer.py", "--input", f"ko={tmp_path}/in.jsonl", "--vocab-size", "300", "--output", "t"
    )
    assert failed.returncode == 65
    assert failed.stderr.startswith(f"error: {tmp_path}/in.jsonl:1: not valid UTF-8")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--input", "ko=missing.jsonl", "--vocab-size", "300"], 65, "missing.jsonl: no such file"),
        (["--input", "missing.jsonl", "--vocab-size", "300"], 2, "--input missing.jsonl: write LANGUAGE=VALUE"),
        (["--input", "ko=in.jsonl", "--vocab-size", "9"], 2, "--vocab-size 9"),
        (["--input", "ko=in.jsonl", "--vocab-size", "300", "--weights", "ko=x"], 2, "'x' is not a number"),
    ],
)
def test_exit_codes_of_the_tokenizer_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", small_texts(3))
    assert tokenizer_commands.train_tokenizer_command([*arguments, "--output", "out"]) == code
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        commands.make_sample_corpus(["--output", str(tmp_path / "file" / "x"), "--megabytes", "0.01"])
