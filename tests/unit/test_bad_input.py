"""Wrong input files through the command lines, in this process: one sentence, its exit code, nothing half-built."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from config_base import write
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.cli import main
from megakor.corpus.preprocess_command import main as preprocess_data
from megakor.corpus.tokenizer_commands import train_tokenizer_command
from megakor.errors import ExitCode

Change = Callable[[Path], object]
"""Spoils one thing in the directory of a test, which has `in.jsonl` and `tokenizer/`."""


@dataclass(frozen=True)
class Wrong:
    what: str
    change: Change
    words: str
    """What the sentence must say: file and line, or file and reason."""
    code: ExitCode = ExitCode.DATA
    options: tuple[str, ...] = ()


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def replace(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def append(content: bytes) -> Change:
    return lambda folder: (folder / "in.jsonl").open("ab").write(content + b"\n")


def compress_half(folder: Path) -> None:
    whole = gzip.compress((folder / "in.jsonl").read_bytes())
    (folder / "in.jsonl.gz").write_bytes(whole[: len(whole) // 2])


def no_end_token(folder: Path) -> None:
    path = folder / "tokenizer" / "tokenizer.json"
    path.write_text(path.read_text().replace("<|endoftext|>", "<|over|>"))
    (folder / "tokenizer" / "tokenizer_config.json").unlink()


def nothing(folder: Path) -> None:
    """The options alone are wrong."""


WRONG = [
    Wrong("missing file", remove("in.jsonl"), "in.jsonl: no such file"),
    Wrong("empty file", replace("in.jsonl", b""), "in.jsonl: the corpus is empty"),
    Wrong("blank documents", replace("in.jsonl", b'{"text": " "}\n'), "no document with text (1 empty)"),
    Wrong("malformed JSON", append(b'{"text": "a"'), "in.jsonl:6: not valid JSON"),
    Wrong("a number where a text belongs", append(b'{"text": 1}'), "in.jsonl:6: the value of 'text' is a number"),
    Wrong("a list where an object belongs", append(b'["a"]'), "in.jsonl:6: not a JSON object"),
    Wrong("another key", append(b'{"content": "a"}'), "in.jsonl:6: no key 'text'"),
    Wrong("Korean in CP949", append('{"text": "한국"}'.encode("cp949")), "in.jsonl:6: not valid UTF-8"),
    Wrong("half a character", append(b'{"text": "\\ud800"}'), "in.jsonl:6: the text holds a lone surrogate"),
    Wrong("half a gzip file", compress_half, "in.jsonl.gz", options=("--input", "in.jsonl.gz")),
    Wrong("no tokenizer", remove("tokenizer/tokenizer.json"), "tokenizer.json: no tokenizer here"),
    Wrong("a broken tokenizer", replace("tokenizer/tokenizer.json", b"{"), "tokenizer.json: not a tokenizer"),
    Wrong("no end token", no_end_token, "no end-of-document token"),
    Wrong("all held out", nothing, "every document is held out", options=("--holdout-share", "0.9999999")),
    Wrong("a share of 2", nothing, "--holdout-share 2.0", ExitCode.USAGE, ("--holdout-share", "2")),
    Wrong("output in a file", nothing, "cannot be written", ExitCode.STORAGE, ("--output-prefix", "in.jsonl/out/a")),
    Wrong("output nowhere", nothing, "cannot be written", ExitCode.STORAGE, ("--output-prefix", "/proc/shards/a")),
]


@pytest.fixture(scope="module")
def tokenizer_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = make_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path, tokenizer_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which everything is right, and the working directory of the test."""
    (tmp_path / "tokenizer").mkdir()
    for name, content in tokenizer_files.items():
        (tmp_path / "tokenizer" / name).write_bytes(content)
    write_jsonl(tmp_path / "in.jsonl", small_texts(5))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that stderr ends with; whatever comes before it is progress."""
    *progress, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert not any("error" in line or "Traceback" in line for line in progress)
    return last


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_preprocessing_says_what_is_wrong_and_leaves_nothing(
    wrong: Wrong, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.change(folder)
    before = {path for path in folder.rglob("*")}
    words = ["--input", "in.jsonl", "--output-prefix", "shards/a", "--tokenizer-model", "tokenizer", "--append-eod"]
    assert preprocess_data([*words, *wrong.options]) == wrong.code
    assert wrong.words in sentence(capsys)
    assert {path for path in folder.rglob("*")} - before <= {folder / "shards"}


def test_a_tokenizer_is_not_trained_on_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty.jsonl").touch()
    words = ["--input", "ko=in.jsonl", "en=empty.jsonl", "--vocab-size", "400", "--output", "new"]
    assert train_tokenizer_command(words) == ExitCode.DATA
    assert "empty.jsonl: the corpus is empty" in sentence(capsys)
    assert not (folder / "new" / "tokenizer.json").exists()


def test_one_document_longer_than_everything_is_no_error(folder: Path) -> None:
    write_jsonl(folder / "in.jsonl", ["끝이 없는 글. " * 20_000])
    words = ["--input", "in.jsonl", "--output-prefix", "shards/a", "--tokenizer-model", "tokenizer"]
    assert preprocess_data(words) == ExitCode.DONE
    assert json.loads((folder / "shards" / "a.json").read_text())["documents"] == 1


@pytest.mark.parametrize(
    ("words", "named", "code"),
    [
        (["pretrain", "none.yaml"], "none.yaml", ExitCode.USAGE),
        (["pretrain", "run.yaml", "--dry-run", "data.phases.0.weights={korean: 0}"], "data.phases.0", ExitCode.USAGE),
        (["pretrain", "run.yaml", "--dry-run", "run.dir=run.yaml"], "run.yaml", ExitCode.USAGE),
        (["pretrain", "run.yaml", "--dry-run", "train.tokens"], "train.tokens", ExitCode.USAGE),
        (["pretrain", "tokenizer", "--dry-run"], "tokenizer", ExitCode.USAGE),
        (["pretrain", "in.jsonl", "--dry-run"], "in.jsonl", ExitCode.USAGE),
        (["ledger", "none"], "none/ledger.jsonl", ExitCode.DATA),
        (["ledger", "in.jsonl"], "in.jsonl/ledger.jsonl", ExitCode.DATA),
    ],
)
def test_verbs_say_what_is_wrong_with_their_arguments(
    words: list[str], named: str, code: ExitCode, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder)
    assert main(words) == code
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert named in told


@pytest.mark.parametrize("content", ['{"kind": "att\n', "[1]\n", '{"kind": "data"}\n'])
def test_a_ledger_that_is_none_is_named(content: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "ledger.jsonl").write_text(content)
    assert main(["ledger", "run"]) == ExitCode.DATA
    assert "run/ledger.jsonl:1" in sentence(capsys)
