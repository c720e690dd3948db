"""An engine proves itself for the tokenizer at hand, in a process that may crash or never end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from corpus_world import small_texts
from tokenizers import models, normalizers, pre_tokenizers, trainers

from megakor.corpus.engines import proof
from megakor.corpus.engines.adversarial import adversarial_texts
from megakor.corpus.engines.checked import CheckedEngine
from megakor.corpus.engines.compare import require_equal
from megakor.corpus.engines.failure import EngineFailureError
from megakor.corpus.engines.load import FAST_ENGINES, load_reference
from megakor.corpus.engines.proof import bounded, check, prove
from megakor.corpus.tokenizer_patterns import LLAMA3, pieces_pattern


def byte_level(add_prefix_space: bool = False) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(tokenizers.Regex(pieces_pattern(LLAMA3)), "isolated")
    rest = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=False)
    return pre_tokenizers.Sequence([split, rest])


def trained(
    pre_tokenizer: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None = None
) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(small_texts(100), trainer)
    return tokenizer


def word_pieces() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "composed characters": lambda: trained(byte_level(), normalizers.NFC()),
    "lower case": lambda: trained(byte_level(), normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])),
    "a space before each piece": lambda: trained(byte_level(add_prefix_space=True)),
    "the pattern of GPT-2": lambda: trained(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "single digits": lambda: trained(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])
    ),
    "word pieces": word_pieces,
}


@pytest.mark.parametrize("engine", list(FAST_ENGINES))
@pytest.mark.parametrize("kind", list(KINDS))
def test_whatever_the_proof_says_the_ids_are_right(kind: str, engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    KINDS[kind]().save(str(tmp_path / "tokenizer.json"))
    try:
        check(engine, tmp_path, [])
    except EngineFailureError:
        engine = "tokenizers"
    checked = CheckedEngine(engine, tmp_path)
    checked.begin_task()
    require_equal(checked, load_reference(tmp_path), adversarial_texts(count=1500, seed=99))


def slow_answer(*_: object) -> None:
    time.sleep(60)


def test_a_library_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_answer", slow_answer)
    monkeypatch.setattr(proof, "_SECONDS", 0.1)
    assert prove("fastokens", tmp_path, []) == "it did not finish the proof in 0 seconds"


def test_a_huge_sample_is_cut() -> None:
    kept = bounded(["a" * 10_000_000, *(["b" * 100_000] * 1000)])
    assert 100_000 < sum(map(len, kept)) <= 1_000_000
    assert kept[0] == "a" * len(kept[0]) and kept[1].startswith("b")


def test_gigatoken_forgets_its_words_without_a_change_of_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gigatoken")
    from megakor.corpus.engines import gigatoken

    KINDS["composed characters"]().save(str(tmp_path / "tokenizer.json"))
    engine = CheckedEngine("gigatoken", tmp_path)
    texts = small_texts(50)
    before = engine.encode(texts)[0].tolist()
    loads: list[int] = []
    load = gigatoken.GigatokenEngine._load

    def counted(self: gigatoken.GigatokenEngine) -> None:
        loads.append(1)
        load(self)

    monkeypatch.setattr(gigatoken.GigatokenEngine, "_load", counted)
    monkeypatch.setattr(gigatoken, "_KEPT_BYTES", -(1 << 40))
    assert engine.encode(texts)[0].tolist() == before
    assert engine.name == "gigatoken" and loads
