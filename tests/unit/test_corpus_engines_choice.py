"""The fastest engine that proves itself is taken; every other outcome is the reference with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from corpus_world import make_tokenizer, small_texts

from megakor.corpus.engines import load
from megakor.corpus.engines.choice import choose_engine
from megakor.corpus.engines.load import load_engine, load_reference
from megakor.errors import ConfigError, DataError

# Oniguruma intersects classes here; PCRE2 reads a class, then "]+" as characters.
INTERSECTION = r" ?[[\p{L}\p{M}]&&\P{Hangul}]+|\p{Hangul}+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def with_pattern(tokenizer: Path, directory: Path, pattern: str) -> Path:
    content = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, byte_level]}
    (directory / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def test_fastokens_proves_itself_for_a_well_known_pattern(tokenizer: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastokens")
    known = with_pattern(tokenizer, tmp_path, LLAMA_3)
    chosen = choose_engine("auto", known, small_texts(20))
    assert (chosen.name, chosen.notes) == ("fastokens", [])
    ids, _ = load_engine(chosen.name, known).encode(small_texts(20))
    assert ids.tolist() == load_reference(known).encode(small_texts(20))[0].tolist()


def test_an_engine_with_other_ids_is_passed_over_with_the_reason(tokenizer: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastokens")
    chosen = choose_engine("fastokens", with_pattern(tokenizer, tmp_path, INTERSECTION), [])
    assert chosen.name == "tokenizers"
    assert chosen.notes[0].startswith("fastokens is not used: other ids for ")


def test_an_engine_that_is_not_there_is_a_mistake_only_when_asked_for(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load.FAST_ENGINES, "absent", load.FastEngine(load._fastokens, "pip install absent"))
    monkeypatch.setattr(load, "ENGINE_NAMES", (*load.ENGINE_NAMES, "absent"))
    with pytest.raises(ConfigError, match="pip install absent"):
        choose_engine("absent", tokenizer, [])
    for name in [name for name in load.FAST_ENGINES if name != "absent"]:
        monkeypatch.delitem(load.FAST_ENGINES, name)
    chosen = choose_engine("auto", tokenizer, [])
    assert chosen.name == "tokenizers" and "no fast engine is installed" in chosen.notes[0]


def test_a_library_that_kills_its_process_is_passed_over(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastokens")
    monkeypatch.setattr("megakor.corpus.engines.proof._answer", die)
    chosen = choose_engine("fastokens", tokenizer, [])
    assert chosen.name == "tokenizers" and "crashed in the proof (exit code 134)" in chosen.notes[0]


def die(*_: object) -> None:
    import os

    os._exit(134)


def test_a_sentencepiece_model_is_encoded_by_its_own_library(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(small_texts(100)),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=100,
        minloglevel=2,
    )
    texts = ["시장은 조용했다.", "", "It rained</s>."]
    for place in (tmp_path, tmp_path / "tokenizer.model"):
        assert choose_engine("auto", place, texts).name == "sentencepiece"
    plain = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    ids, offsets = load_engine("sentencepiece", tmp_path).encode(texts)
    assert ids.tolist() == [token for text in texts for token in plain.encode(text)]
    assert offsets.tolist()[:3] == [0, len(plain.encode(texts[0])), len(plain.encode(texts[0]))]
    with pytest.raises(ConfigError, match="needs --engine sentencepiece"):
        choose_engine("fastokens", tmp_path, texts)
    (tmp_path / "tokenizer.model").write_bytes(b"no model")
    with pytest.raises(DataError, match="not a SentencePiece model"):
        choose_engine("auto", tmp_path, texts)


@pytest.mark.parametrize("name", list(load.FAST_ENGINES))
def test_special_tokens_spelt_in_texts_are_text_and_other_added_tokens_are_tokens(
    tokenizer: Path, tmp_path: Path, name: str
) -> None:
    pytest.importorskip(name)
    known = with_pattern(tokenizer, tmp_path, LLAMA_3)
    encoder = tokenizers.Tokenizer.from_file(str(known / "tokenizer.json"))
    encoder.add_special_tokens([tokenizers.AddedToken("<|im_end|>", special=True, normalized=False)])
    encoder.add_tokens(["<think>", tokenizers.AddedToken("<tool>", lstrip=True, rstrip=True)])
    encoder.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    encoder.save(str(known / "tokenizer.json"))
    assert choose_engine(name, known, []).name == name
    ids, offsets = load_engine(name, known).encode(["<|im_end|>", "<|endoftext|>", "<think>", "", "a <tool> b"])
    special = {encoder.token_to_id("<|im_end|>"), encoder.token_to_id("<|endoftext|>")}
    assert not special & set(ids.tolist())
    assert ids[offsets[2] : offsets[4]].tolist() == [encoder.token_to_id("<think>")]
    assert encoder.token_to_id("<tool>") in ids.tolist()


def test_a_wrong_name_or_tokenizer_is_told_at_once(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="auto, fastokens"):
        choose_engine("fast", tokenizer, [])
    with pytest.raises(DataError, match="no tokenizer here"):
        choose_engine("auto", tmp_path, [])
