"""Training and comparing tokenizers as commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.corpus.build.options import PreprocessOptions
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_commands import compare_tokenizers_command, grouped, train_tokenizer_command
from megakor.errors import ConfigError


def test_files_belong_to_the_language_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "year=2024.jsonl").touch()
    words = ["ko=a.zst", "b.zst", "data/date=1/c.zst", "year=2024.jsonl", "en=x", "ko=d"]
    assert grouped("--input", words) == {
        "ko": ["a.zst", "b.zst", "data/date=1/c.zst", "year=2024.jsonl", "d"],
        "en": ["x"],
    }
    for wrong in (["a.zst"], ["ko="], ["=a"]):
        with pytest.raises(ConfigError, match="write LANGUAGE=VALUE"):
            grouped("--input", wrong)


def test_the_options_of_the_command_reach_the_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("a", "b"):
        write_jsonl(tmp_path / f"{part}.jsonl", [f"{part} {text}" for text in small_texts(100)])
    words = ["--input", f"ko={tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl", "--vocab-size", "300", "--pieces", "hangul"]
    words += ["--digits", "1", "--whitespace", "single", "--normalize", "nfc", "--reserved", "3"]
    words += ["--special-tokens", "<think>", "<|turn|>", "--output", str(tmp_path / "t")]
    assert train_tokenizer_command(words) == 0
    report = json.loads((tmp_path / "t" / "tokenizer_report.json").read_text())
    asked = [report["options"][name] for name in ("pieces", "digits", "whitespace", "normalize")]
    assert asked == ["hangul", 1, "single", "nfc"]
    assert list(report["special_tokens"])[2:4] == ["<think>", "<|turn|>"]
    assert list(report["markers"]) == ["</think>"]
    assert report["training"]["ko"]["documents_seen"] == 200
    assert Tokenizer.load(tmp_path / "t").vocabulary_size == 300
    assert "tokens/word" in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["--json-key", "--json-keys"])
def test_the_key_is_spelt_as_in_a_build_too(tmp_path: Path, spelling: str) -> None:
    write_jsonl(tmp_path / "a.jsonl", small_texts(20), key="body")
    words = ["--input", f"ko={tmp_path}/a.jsonl", spelling, "body"]
    assert train_tokenizer_command([*words, "--vocab-size", "300", "--output", str(tmp_path / "t")]) == 0
    assert compare_tokenizers_command([*words, "--tokenizer", f"mine={tmp_path}/t"]) == 0


def test_a_text_file_is_one_document_as_in_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(small_texts(20)))
    words = ["--input", f"ko={tmp_path}/a.txt", "--vocab-size", "300"]
    assert train_tokenizer_command([*words, "--output", str(tmp_path / "t")]) == 0
    report = json.loads((tmp_path / "t" / "tokenizer_report.json").read_text())
    assert report["training"]["ko"]["documents_seen"] == 1
    assert report["options"]["text_unit"] == PreprocessOptions.text_unit
    with pytest.raises(SystemExit):
        train_tokenizer_command(["--help"])
    assert "is; default: file" in " ".join(capsys.readouterr().out.split())


def test_what_takes_long_is_said_before_it_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(tmp_path / "a.jsonl", small_texts(60))
    words = ["--input", f"ko={tmp_path}/a.jsonl", "--vocab-size", "300", "--output", str(tmp_path / "t")]
    assert train_tokenizer_command(words) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("merging bytes into a vocabulary of 300")
    assert lines[-1] == f"wrote {tmp_path / 't'}"


def test_tokenizers_are_compared_on_the_same_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in (300, 400):
        (tmp_path / str(size)).mkdir()
        make_tokenizer(tmp_path / str(size), size)
    write_jsonl(tmp_path / "ko.jsonl", ["시장은 조용했다.", "문서 7번"])
    write_jsonl(tmp_path / "en.jsonl", ["It rained."])
    words = ["--tokenizer", *(f"v{size}={tmp_path}/{size}/tokenizer" for size in (300, 400))]
    words += ["--input", f"ko={tmp_path}/ko.jsonl", f"en={tmp_path}/en.jsonl"]
    assert compare_tokenizers_command([*words, "--json", f"{tmp_path}/o/c.json", "--csv", f"{tmp_path}/o/c.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        [f"v{v}", row] for v in (300, 400) for row in ("ko", "en", "all")
    ]
    rows = json.loads((tmp_path / "o" / "c.json").read_text())["rows"]
    large = Tokenizer.load(tmp_path / "400" / "tokenizer")
    assert rows[4]["tokens"] == len(large.encode("It rained."))
    assert rows[4]["relative_tokens"] == rows[4]["tokens"] / rows[1]["tokens"] < 1
    assert rows[5]["tokens"] == rows[3]["tokens"] + rows[4]["tokens"]
    with (tmp_path / "o" / "c.csv").open() as file:
        assert [float(row["fertility"]) for row in csv.DictReader(file)] == [row["fertility"] for row in rows]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--tokenizer", "a=none", "--input", "ko=in.jsonl"], 65, "none/tokenizer.json: no tokenizer here"),
        (["--tokenizer", "none", "--input", "ko=in.jsonl"], 2, "--tokenizer none: write NAME=VALUE"),
        (["--tokenizer", "a=b", "a=c", "--input", "ko=in.jsonl"], 2, "a name is there twice"),
        (["--tokenizer", "a=b", "--input", "ko=in.jsonl", "--max-megabytes", "0"], 2, "--max-megabytes 0"),
    ],
)
def test_a_comparison_that_cannot_work_says_why(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare_tokenizers_command(words) == code
    assert message in capsys.readouterr().err


def test_figures_never_replace_each_other_or_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_tokenizer(tmp_path)
    source = write_jsonl(tmp_path / "en.jsonl", ["It rained."])
    words = ["--tokenizer", f"a={tmp_path}/tokenizer", "--input", f"en={source}"]
    assert compare_tokenizers_command([*words, "--json", f"{tmp_path}/x", "--csv", f"{tmp_path}/y/../x"]) == 2
    assert "give two files" in capsys.readouterr().err
    for option in ("--json", "--csv"):
        assert compare_tokenizers_command([*words, option, str(source)]) == 2
        assert f"{option}: {source} is an input too" in capsys.readouterr().err
        assert compare_tokenizers_command([*words, option, str(tmp_path / "tokenizer" / "tokenizer.json")]) == 2
        assert "is an input too" in capsys.readouterr().err
    assert source.read_text() == '{"text": "It rained."}\n'


def test_a_tokenizer_with_an_id_beyond_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_tokenizer(tmp_path) / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary[next(iter(vocabulary))] = 2**31 + 5
    file.write_text(json.dumps(content), encoding="utf-8")
    source = write_jsonl(tmp_path / "en.jsonl", ["It rained."])
    assert compare_tokenizers_command(["--tokenizer", f"a={file}", "--input", f"en={source}"]) == 65
    assert "it has a token of id 2,147,483,653; ids end below 16,777,216" in capsys.readouterr().err


def test_an_output_without_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "en.jsonl", small_texts(200))
    with pytest.raises(SystemExit) as stop:
        train_tokenizer_command(["--output", "", "--input", "en=en.jsonl", "--vocab-size", "300"])
    assert stop.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["en.jsonl"]
