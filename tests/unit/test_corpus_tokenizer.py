"""The tokenizer gives back every text, and transformers reads it the same way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from corpus_world import make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RawTokenizer
from transformers import AutoTokenizer

from megakor.corpus.tokenizer import END_OF_DOCUMENT, Tokenizer
from megakor.errors import DataError

HOSTILE = [
    "",
    " ",
    "\n\n\r\n\t \x00",
    "<|endoftext|>",
    "a<|endoftext|>b<|pad|>c",
    "<think>\n생각</think>",
    "👩‍👩‍👧‍👦 e\u0301 \u200b\ufeff\u202e",
    "GPU는 don't 1234567.89 ㅋㅋㅋ ᄒᆞᆫ글 漢字",
    "trailing   ",
    "a" * 5_000,
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(directory: Path) -> Tokenizer:
    return Tokenizer.load(directory)


def check_round_trip(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.eod_id not in ids
    assert tokenizer.token_bytes()[ids].sum() == len(text.encode("utf-8"))
    if "\ufffd" not in text:  # what the decoder writes for a part of a character
        assert tokenizer.fragments()[ids].tolist() == ["\ufffd" in tokenizer.decode([token]) for token in ids]
    assert tokenizer.encode_batch([text, "other"])[0] == ids


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_byte_for_byte(tokenizer: Tokenizer, text: str) -> None:
    check_round_trip(tokenizer, text)


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_comes_back_byte_for_byte(tokenizer: Tokenizer, text: str) -> None:
    check_round_trip(tokenizer, text)


def test_transformers_reads_the_same_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    theirs = AutoTokenizer.from_pretrained(str(directory))
    text = "문서 12번입니다. It rained, didn't it?"
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.eos_token_id == tokenizer.eod_id
    assert theirs.decode(tokenizer.encode(text)) == text


def test_sentencepiece_style_vocabularies_count_bytes_too(tmp_path: Path) -> None:
    vocabulary = {"<0x41>": 0, "\u2581hi": 1, "한": 2, "</s>": 3}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": True}
    end = {"id": 3, "content": "</s>", "special": True, "normalized": False}
    end |= {"single_word": False, "lstrip": False, "rstrip": False}
    content = {"version": "1.0", "added_tokens": [end], "model": model}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    loaded = Tokenizer.load(tmp_path)
    assert loaded.token_bytes().tolist() == [1, 3, 3, 0]
    assert loaded.eod_id == 3


def test_a_missing_tokenizer_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*: no tokenizer here.*train_tokenizer"):
        Tokenizer.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"{", b'{"model": 1}', b"\xff\xfe"])
def test_a_broken_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_without_an_end_token_says_how_to_name_one(directory: Path, tmp_path: Path) -> None:
    raw = json.loads((directory / "tokenizer.json").read_text())
    raw["added_tokens"] = []
    del raw["model"]["vocab"][END_OF_DOCUMENT]
    RawTokenizer.from_str(json.dumps(raw)).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="eos_token"):
        _ = Tokenizer.load(tmp_path).eod_id
