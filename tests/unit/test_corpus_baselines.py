"""Baselines against numbers computed by hand."""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import numpy as np
import pytest
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.corpus.baselines import (
    bigram_cross_entropy,
    entropy,
    measure_baselines,
    unigram_cross_entropy,
    xz_bits_per_byte,
)
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.tokenizer import Tokenizer
from megakor.data.rows import read_rows
from megakor.data.validation import open_validation
from megakor.errors import DataError


def test_the_entropy_of_a_distribution() -> None:
    assert entropy(np.array([0, 0, 1, 2]), 5) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4))


def test_the_unigram_cross_entropy_adds_one_to_every_count() -> None:
    # counts 3, 1, 0, 0 -> (3+1)/8, (1+1)/8, 1/8, 1/8
    training, validation = np.array([0, 0, 0, 1]), np.array([0, 3])
    assert unigram_cross_entropy(training, validation, 4) == pytest.approx((math.log(2) + math.log(8)) / 2)


def test_the_bigram_cross_entropy_interpolates_by_witten_bell() -> None:
    # training 0 1 0 1 0 2: pairs 01 x2, 10 x2, 02 x1; n(0)=3, t(0)=2; unigram (3+1)/9, (2+1)/9, (1+1)/9
    training = np.array([0, 1, 0, 1, 0, 2])
    validation = np.array([0, 1, 1, 2, 0])
    seen_pair = (2 + 2 * 3 / 9) / (3 + 2)  # 0 -> 1
    unseen_pair = (0 + 1 * 3 / 9) / (2 + 1)  # 1 -> 1
    unseen_too = (0 + 1 * 2 / 9) / (2 + 1)  # 1 -> 2
    unknown_context = 4 / 9  # 2 is never a context
    expected = -np.log([seen_pair, unseen_pair, unseen_too, unknown_context]).mean()
    everything = np.array([False, True, True, True, True])
    assert bigram_cross_entropy(training, validation, everything, 3) == pytest.approx(expected)
    only_last = np.array([False, False, False, False, True])
    assert bigram_cross_entropy(training, validation, only_last, 3) == pytest.approx(-math.log(4 / 9))


def test_the_probabilities_of_a_bigram_model_sum_to_one() -> None:
    training = np.random.default_rng(0).integers(0, 6, 200)
    one = np.array([False, True])
    for context in range(6):
        losses = [bigram_cross_entropy(training, np.array([context, after]), one, 6) for after in range(6)]
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0)


def test_xz_counts_bits_of_the_compressed_text() -> None:
    text = b"abc" * 1000
    assert xz_bits_per_byte(text) == pytest.approx(8 * len(lzma.compress(text, preset=9)) / 3000)


def test_shards_are_measured_on_predicted_tokens_only(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(100))
    options = PreprocessOptions((str(source),), tmp_path / "out", tokenizer, append_eod=True, holdout_share=0.2)
    _, validation = preprocess(options, lambda _: None)
    loaded = Tokenizer.load(tokenizer)
    measured = measure_baselines(tmp_path / "out", tmp_path / "out.validation", loaded)
    assert measured.validation_tokens == validation.tokens - validation.documents
    assert 0 < measured.validation_bytes < validation.text_bytes
    assert measured.bigram < measured.unigram
    assert measured.bits_per_byte(math.log(2)) == pytest.approx(measured.validation_tokens / measured.validation_bytes)


def test_a_budget_selects_the_very_tokens_that_an_evaluation_predicts(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(100))
    preprocess(PreprocessOptions((str(source),), tmp_path / "out", tokenizer, append_eod=True), lambda _: None)
    loaded = Tokenizer.load(tokenizer)
    for budget in (64, 200, 10**6):
        found = open_validation("all", "ko", tmp_path / "out")
        batch = read_rows(found, found.rows(budget, 32), 32, "document", loaded.vocabulary_size)
        measured = measure_baselines(tmp_path / "out", tmp_path / "out", loaded, max_validation_tokens=budget)
        predicted = batch.loss_mask_BS > 0
        assert measured.validation_tokens == predicted.sum()
        assert measured.validation_bytes == loaded.token_bytes()[batch.labels_BS[predicted]].sum()


def test_a_shard_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(20))
    preprocess(PreprocessOptions((str(source),), tmp_path / "out", tokenizer), lambda _: None)
    (tmp_path / "smaller").mkdir()
    smaller = Tokenizer.load(make_tokenizer(tmp_path / "smaller", vocabulary=260))
    with pytest.raises(DataError, match="beyond the tokenizer's vocabulary of 260"):
        measure_baselines(tmp_path / "out", tmp_path / "out", smaller)
