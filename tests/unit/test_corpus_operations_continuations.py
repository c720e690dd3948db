"""Questions out of held-out text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from megakor.cli import main
from megakor.corpus.inspection.showing import read_shown
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.shard import ShardReader
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.data.probe_items import read_items
from megakor.errors import ExitCode


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer and shards of Korean, a held-out one among them."""
    directory = tmp_path_factory.mktemp("world")
    texts = [path for path in write_sample_corpus(directory, megabytes=0.1, seed=3) if path.stem == "ko"]
    tokenizer = train_tokenizer(TokenizerOptions({"ko": [str(texts[0])]}, directory / "tok", 600), lambda line: None)
    options = PreprocessOptions(
        (str(texts[0]),), directory / "shards" / "ko", tokenizer, append_eod=True, language="ko", holdout_share=0.5
    )
    preprocess(options, lambda line: None)
    return directory


def words_of(world: Path, output: str, *further: str) -> list[str]:
    prefix = world / "shards" / "ko.validation"
    sizes = ("--items", "12", "--context", "6", "--continuation", "3", "--choices", "3")
    return ["corpus", "probe", str(prefix), "--output", str(world / output), "--domain", "general", *sizes, *further]


def documents(world: Path) -> list[str]:
    prefix, tokenizer = world / "shards" / "ko.validation", Tokenizer.load(world / "tok")
    numbers = range(ShardReader(prefix).documents)
    return [tokenizer.decode(shown.ids) for shown in read_shown(prefix, numbers, None)]


def test_the_right_choice_follows_in_a_document_and_the_others_do_not(world: Path) -> None:
    assert main(words_of(world, "items.jsonl")) == ExitCode.DONE
    items = read_items(world / "items.jsonl", 99)
    texts = documents(world)
    assert len(items) == 12
    for item in items:
        assert (item.language, item.domain, len(item.choices)) == ("ko", "general", 3)
        assert len(item.question.split()) == 6 and all(len(choice.split()) == 3 for choice in item.choices)
        assert any(item.question + item.choices[item.answer] in text for text in texts)
        wrong = [choice for number, choice in enumerate(item.choices) if number != item.answer]
        assert not any(item.question + choice in text for choice in wrong for text in texts)
    assert len({item.answer for item in items}) > 1


def test_the_same_seed_gives_the_same_file_and_another_one_another(world: Path) -> None:
    for name, seed in (("a.jsonl", "1"), ("b.jsonl", "1"), ("c.jsonl", "2")):
        assert main(words_of(world, name, "--seed", seed)) == ExitCode.DONE
    first, same, other = ((world / f"{name}.jsonl").read_bytes() for name in "abc")
    assert first == same != other


def test_a_file_that_is_there_stays_and_few_documents_are_said(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "there.jsonl").write_text("{}")
    assert main(words_of(world, "there.jsonl")) == ExitCode.USAGE
    assert (world / "there.jsonl").read_text() == "{}"
    assert main(words_of(world, "there.jsonl", "--overwrite", "--items", "5000")) == ExitCode.DONE
    assert "not 5,000" in capsys.readouterr().err
    assert all(json.loads(line) for line in (world / "there.jsonl").read_text(encoding="utf-8").splitlines())
    assert main(words_of(world, "none.jsonl", "--context", "5000")) == ExitCode.DATA
    assert main(words_of(world, "none.jsonl", "--choices", "1")) == ExitCode.USAGE
    assert "--choices 1: give at least 2" in capsys.readouterr().err
