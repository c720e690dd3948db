"""The sample that tokenizers are trained and measured on: bounded, and the same however the text is laid out."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_world import small_texts, write_jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.corpus import tokenizer_sample
from megakor.corpus.inputs.records import Fields
from megakor.corpus.tokenizer_sample import HELD_OUT_ONE_IN, SEEN, Kept, Reading, take_sample
from megakor.errors import DataError

READING = Reading(Fields(), seed=7)


def test_the_layout_of_the_inputs_does_not_matter(tmp_path: Path) -> None:
    texts = small_texts(400)
    whole = write_jsonl(tmp_path / "whole.jsonl", texts)
    parts = tmp_path / "parts"
    parts.mkdir()
    packed = gzip.compress(write_jsonl(tmp_path / "a", texts[:150]).read_bytes())
    (parts / "a.jsonl.gz").write_bytes(packed)
    pq.write_table(pa.table({"text": texts[:149:-1]}), parts / "b.parquet", row_group_size=40)
    one = take_sample([str(whole)], 10_000, 1_000, READING)
    two = take_sample([str(parts)], 10_000, 1_000, READING)
    assert one.training.texts() == two.training.texts()
    assert one.held_out.texts() == two.held_out.texts()
    assert 9_800 < one.training.bytes <= 10_000
    assert one.documents_seen == two.documents_seen == 400


def test_held_out_documents_are_never_trained_on_even_when_they_are_there_twice(tmp_path: Path) -> None:
    texts = small_texts(300)
    source = write_jsonl(tmp_path / "a.jsonl", texts * 2)
    sample = take_sample([str(source)], 1_000_000, 1_000_000, READING)
    training, held_out = sample.training.texts(), sample.held_out.texts()
    assert not set(training) & set(held_out)
    assert sorted(training + held_out) == sorted(texts * 2)
    assert 0.3 < len(held_out) * HELD_OUT_ONE_IN / 600 < 3


def test_nothing_is_held_out_where_nothing_would_be_left(tmp_path: Path) -> None:
    for number in range(60):
        source = write_jsonl(tmp_path / "a.jsonl", [f"문서 {number}"])
        sample = take_sample([str(source)], 1_000, 1_000, READING)
        assert sample.training.texts() == [f"문서 {number}"]
        assert sample.held_out.texts() == []


def test_inputs_larger_than_the_sample_are_not_read_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_sample, "_PORTION_BYTES", 1 << 16)
    monkeypatch.setattr(tokenizer_sample, "PORTIONS", 8)
    texts = [f"{number:06} " + "글" * 300 for number in range(4_000)]
    source = write_jsonl(tmp_path / "a.jsonl", texts)
    sample = take_sample([str(source)], 20_000, 0, READING)
    assert 15_000 < sample.training.bytes <= 20_000
    assert SEEN * 20_000 <= sample.bytes_seen < source.stat().st_size / 3
    numbers = sorted(int(text[:6]) for text in sample.training.texts())
    assert numbers[-1] - numbers[0] > 1_000  # from several places


def test_a_large_file_gets_what_small_ones_leave(tmp_path: Path) -> None:
    for number in range(20):
        write_jsonl(tmp_path / f"small{number}.jsonl", [f"작은 {number}"])
    write_jsonl(tmp_path / "large.jsonl", small_texts(300))
    sample = take_sample([str(tmp_path / "*.jsonl")], 100_000, 0, READING)
    assert sample.documents_seen == 320
    assert len(sample.training) == 320


@settings(deadline=None)
@given(
    documents=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=25),
    budget=st.integers(1, 60),
    smaller=st.integers(1, 60),
    seed=st.integers(),
)
def test_what_is_kept_does_not_depend_on_the_order_and_fits(
    documents: list[tuple[int, int]], budget: int, smaller: int, seed: int
) -> None:
    sizes = dict(documents)  # one size for each hash, as for texts
    offered = [(hash_, sizes[hash_]) for hash_, _ in documents]
    kept = Kept(budget)
    other = Kept(budget)
    for hash_, size in offered:
        kept.add(hash_, size, f"{hash_}")
    for hash_, size in random.Random(seed).sample(offered, len(offered)):
        other.add(hash_, size, f"{hash_}")
    for trimmed in (False, True):
        if trimmed:
            kept.trim(min(budget, smaller))
            other.trim(min(budget, smaller))
        assert kept.texts() == other.texts()
        assert kept.bytes == other.bytes == sum(sizes[int(text)] for text in kept.texts())
        assert kept.bytes <= (min(budget, smaller) if trimmed else budget) or len(kept) == 1
        assert set(map(int, kept.texts())) <= {*sorted(sizes)[: len(kept)]}


def test_no_text_at_all_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", ["", " \n"])
    with pytest.raises(DataError, match=r"a\.jsonl: the corpus is empty"):
        take_sample([str(source)], 1_000, 0, READING)
