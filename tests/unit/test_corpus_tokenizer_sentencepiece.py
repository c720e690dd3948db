"""SentencePiece models work wherever a tokenizer does."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from config_base import write
from corpus_world import small_texts

from megakor.config.load import load_config
from megakor.config.vocabulary import vocabulary_size
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError, DataError

sentencepiece = pytest.importorskip("sentencepiece")
SIZE = 400


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in small_texts(200) for line in text.splitlines()),
        model_prefix=str(directory / "tokenizer"),
        model_type="bpe",
        vocab_size=SIZE,
        byte_fallback=True,
        user_defined_symbols=["<think>"],
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return directory / "tokenizer.model"


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> Tokenizer:
    return Tokenizer.load(model)


@pytest.mark.parametrize(
    "text", ["문서 12번입니다.", "It rained.", "뷁 👍 e\u0301", "a</s>b<s>", "<think>a", "a  b\n\nc"]
)
def test_text_comes_back_and_never_spells_a_control_token(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_batch([text, "other"])[0] == ids
    assert tokenizer.eod_id not in ids
    # A space is put before the text, for the first word to be the same token as any other.
    assert tokenizer.token_bytes()[ids].sum() == len(text.encode("utf-8")) + 1


def test_sizes_and_ids_are_those_of_the_model(model: Path, tokenizer: Tokenizer) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert tokenizer.vocabulary_size == SIZE == processor.get_piece_size()
    assert tokenizer.eod_id == processor.eos_id()
    assert tokenizer.token_id("<think>") == processor.piece_to_id("<think>")
    assert tokenizer.token_id("no such piece") is None
    assert tokenizer.decode([*tokenizer.encode("a"), tokenizer.eod_id, *tokenizer.encode("b")]) == "a</s>b"


def test_bytes_of_a_character_are_fragments(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("뷁")
    assert tokenizer.fragments()[ids].tolist() == [False, True, True, True]
    assert not tokenizer.fragments()[tokenizer.encode("문서 12번")].any()
    assert tokenizer.fragments()[tokenizer.token_id("<unk>")]


def test_a_directory_with_one_model_is_that_tokenizer(model: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert Tokenizer.load(model.parent).sha256 == tokenizer.sha256
    (tmp_path / "my.model").write_bytes(model.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<s>"}}))
    assert Tokenizer.load(tmp_path).eod_id == tokenizer.token_id("<s>")


def test_a_config_counts_its_pieces_without_the_library(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sentencepiece(monkeypatch)
    config = load_config(write(tmp_path), [f"data.tokenizer={model}", "model.vocabulary_size=null"])
    assert vocabulary_size(config) == SIZE
    damaged = tmp_path / "cut.model"
    for content in (b"", b"\x0a", b"\x0a\x05ab", b"{}", model.read_bytes()[:-1]):
        damaged.write_bytes(content)
        assert (
            vocabulary_size(load_config(write(tmp_path), [f"data.tokenizer={damaged}", "model.vocabulary_size=null"]))
            is None
        )


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x0a\x05ab"])
def test_a_broken_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.model").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.model: not a SentencePiece model"):
        Tokenizer.load(tmp_path / "bad.model")


def test_without_the_library_the_error_says_what_to_install(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_sentencepiece(monkeypatch)
    with pytest.raises(ConfigError, match=r"pip install 'megakor\[sentencepiece\]'"):
        Tokenizer.load(model)


def without_sentencepiece(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "sentencepiece":
            raise ImportError(name)
        return found(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
