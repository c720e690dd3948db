"""Samples of large inputs: within the budget, fixed by texts and seed, and stated."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from corpus_world import small_texts, write_jsonl

from megakor.corpus.sampling import prepare_user_sample
from megakor.errors import ConfigError, DataError


def texts_of(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_sample_keeps_the_budget_and_does_not_depend_on_the_order(tmp_path: Path) -> None:
    texts = small_texts(300)
    forward = write_jsonl(tmp_path / "a.jsonl", texts)
    backward = tmp_path / "b.jsonl.gz"
    backward.write_bytes(gzip.compress(write_jsonl(tmp_path / "b.jsonl", texts[::-1]).read_bytes()))
    (one,) = prepare_user_sample({"ko": [forward]}, tmp_path / "one", 0.01, 7)
    (two,) = prepare_user_sample({"ko": [backward]}, tmp_path / "two", 0.01, 7)
    kept = texts_of(one.path)
    assert sorted(kept) == sorted(texts_of(two.path))
    assert one.bytes_kept == sum(len(text.encode()) for text in kept)
    assert 9_800 < one.bytes_kept <= 10_000
    assert str(one).startswith(f"ko: a sample of {len(kept)} of 300 documents read, 0.0 of 0.0 MB")


def test_a_small_input_is_kept_whole(tmp_path: Path) -> None:
    texts = small_texts(5)
    source = write_jsonl(tmp_path / "a.jsonl", [*texts, ""])
    (report,) = prepare_user_sample({"en": [source]}, tmp_path / "out", 1, 7)
    assert sorted(texts_of(report.path)) == sorted(texts)
    assert str(report) == "en: all 5 documents, 0.0 MB"


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", [""])
    with pytest.raises(DataError, match="the corpus is empty"):
        prepare_user_sample({"en": [source]}, tmp_path / "out", 1, 7)
    with pytest.raises(ConfigError, match="above 0"):
        prepare_user_sample({"en": [source]}, tmp_path / "out", 0, 7)
    assert list((tmp_path / "out").iterdir()) == []
