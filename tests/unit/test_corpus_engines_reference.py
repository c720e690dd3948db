"""The engine of the tokenizers library: its ids, its offsets, and what of a tokenizer.json is left aside."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import tokenizers
from corpus_world import make_tokenizer, small_texts

from megakor.corpus.engines.load import load_reference
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import DataError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize("texts", [[], [""], ["", "a", "", ""], small_texts(30), ["a" * 300_000, "b", "c" * 300_000]])
def test_texts_lie_end_to_end_with_their_offsets(tokenizer: Path, texts: list[str]) -> None:
    ids, offsets = load_reference(tokenizer).encode(texts)
    plain = Tokenizer.load(tokenizer)
    parts = [ids[start:stop].tolist() for start, stop in pairwise(offsets)]
    assert parts == [plain.encode(text) for text in texts]
    assert (ids.dtype, offsets.dtype, int(offsets[0]), int(offsets[-1])) == ("uint32", "int64", 0, len(ids))


def test_a_special_token_spelt_in_a_text_is_text(tokenizer: Path) -> None:
    ids, _ = load_reference(tokenizer).encode(["a<|endoftext|>b"])
    assert Tokenizer.load(tokenizer).eod_id not in ids.tolist()


def test_truncation_padding_and_dropout_do_not_reach_the_corpus(tokenizer: Path, tmp_path: Path) -> None:
    texts = small_texts(5)
    encoder = tokenizers.Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoder.enable_truncation(4)
    encoder.enable_padding(length=64)
    encoder.model.dropout = 0.5
    encoder.save(str(tmp_path / "tokenizer.json"))
    ids, offsets = load_reference(tmp_path).encode(texts)
    expected, expected_offsets = load_reference(tokenizer).encode(texts)
    assert ids.tolist() == expected.tolist() and offsets.tolist() == expected_offsets.tolist()


def test_a_missing_or_malformed_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokenizer here"):
        load_reference(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff{")
    with pytest.raises(DataError, match="not a tokenizer"):
        load_reference(tmp_path / "tokenizer.json")
