"""A tokenizer is never replaced unasked, never trained twice for nothing, and never a mixture of two."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_world import small_texts, write_jsonl

from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_options import TokenizerOptions
from megakor.corpus.tokenizer_training import train_tokenizer
from megakor.errors import ConfigError, DataError


def trained(tmp_path: Path) -> TokenizerOptions:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(60))
    options = TokenizerOptions({"mixed": [str(source)]}, tmp_path / "t", 300)
    train_tokenizer(options, lambda _: None)
    return options


def files_of(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_the_same_training_again_does_nothing(tmp_path: Path) -> None:
    options = trained(tmp_path)
    made = files_of(options.output)
    lines: list[str] = []
    train_tokenizer(options, lines.append)
    assert len(lines) == 1 and "nothing to do" in lines[0]
    assert files_of(options.output) == made


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("option", "its --vocab-size was 300"),
        ("inputs", "it was trained on other inputs"),
        ("content", r"in\.jsonl was written to since"),
        ("no report", r"no tokenizer_report\.json says"),
        ("edited", r"tokenizer_report\.json is of another one"),
        ("foreign", r"tokenizer_config\.json is there already: no tokenizer_report\.json says"),
    ],
)
def test_another_tokenizer_is_replaced_on_request_only(tmp_path: Path, change: str, said: str) -> None:
    options = trained(tmp_path)
    output = options.output
    if change == "option":
        options = replace(options, vocabulary_size=310)
    elif change == "inputs":
        options = replace(options, inputs={"mixed": [str(write_jsonl(tmp_path / "other.jsonl", small_texts(50)))]})
    elif change == "content":
        later = (output / "tokenizer_report.json").stat().st_mtime_ns + 10**9
        os.utime(tmp_path / "in.jsonl", ns=(later, later))
    elif change == "edited":
        (output / "tokenizer.json").write_text((output / "tokenizer.json").read_text() + " ")
    else:
        (output / "tokenizer_report.json").unlink()
        if change == "foreign":
            (output / "tokenizer.json").rename(output / "tokenizer.model")
    before = files_of(output)
    with pytest.raises(ConfigError, match=said) as refused:
        train_tokenizer(options, lambda _: None)
    assert "--overwrite" in str(refused.value)
    assert files_of(output) == before
    train_tokenizer(replace(options, overwrite=True), lambda _: None)
    assert Tokenizer.load(output).vocabulary_size == options.vocabulary_size


@pytest.mark.parametrize("done", range(4))
def test_a_kill_never_leaves_a_mixture_of_two_tokenizers(
    tmp_path: Path, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(trained(tmp_path), vocabulary_size=310, overwrite=True)
    renames = 0

    def killed(temporary: Path, final: Path) -> None:
        nonlocal renames
        if renames == done:
            raise KeyboardInterrupt
        renames += 1
        temporary.replace(final)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr("megakor.corpus.tokenizer_files.publish", killed)
        train_tokenizer(options, lambda _: None)
    assert (options.output / "tokenizer.json").exists() == (done == 3)
    train_tokenizer(replace(options, overwrite=False), lambda _: None)
    assert Tokenizer.load(options.output).vocabulary_size == 310


def test_a_training_that_fails_keeps_the_older_tokenizer(tmp_path: Path) -> None:
    options = trained(tmp_path)
    before = files_of(options.output)
    empty = write_jsonl(tmp_path / "empty.jsonl", [""])
    with pytest.raises(DataError, match="the corpus is empty"):
        train_tokenizer(replace(options, inputs={"ko": [str(empty)]}, overwrite=True), lambda _: None)
    assert files_of(options.output) == before
