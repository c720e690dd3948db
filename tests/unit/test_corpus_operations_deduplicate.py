"""Removal of documents whose tokens were there before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import read_shard, write_shard

from megakor.corpus.operations import duplicates, stream
from megakor.corpus.operations.deduplicate import DeduplicateOptions, deduplicate_documents
from megakor.corpus.operations.workplace import Output

documents_of_few_tokens = st.lists(st.lists(st.integers(1, 2), max_size=3), min_size=1, max_size=40)


def silent(_: str) -> None: ...


@settings(max_examples=30, deadline=None)
@given(st.lists(documents_of_few_tokens, min_size=1, max_size=2), st.sampled_from([100, 1 << 30]))
def test_the_first_of_equal_documents_stays_over_all_shards(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[list[int]]], memory: int
) -> None:
    place = tmp_path_factory.mktemp("deduplicate")
    prefixes = [
        write_shard(place / f"in{number}", [[*ids, 0] for ids in documents]) for number, documents in enumerate(shards)
    ]
    expected: dict[tuple[int, ...], dict[str, Any]] = {}
    for prefix in prefixes:
        for ids, row in read_shard(prefix):
            expected.setdefault(ids, row)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "RANGE_DOCUMENTS", 4)
        patch.setattr(stream, "BATCH_DOCUMENTS", 3)
        deduplicate_documents(prefixes, Output(place / "out"), DeduplicateOptions(memory), said.append)
    assert read_shard(place / "out") == list(expected.items())
    total = sum(len(documents) for documents in shards)
    assert f"{total - len(expected)} of {total} documents are equal to an earlier one" in said


def test_the_end_of_document_does_not_count(tmp_path: Path) -> None:
    """A shard without a manifest may lack the token that ends the documents of the others."""
    prefix = write_shard(tmp_path / "in", [[5, 6, 0], [], [5, 0], [0]])
    bare = write_shard(tmp_path / "bare", [[5, 6], [5, 6, 0], [5], [5, 6, 7]], with_manifest=False)
    deduplicate_documents([prefix, bare], Output(tmp_path / "out"), DeduplicateOptions(), silent)
    assert [ids for ids, _ in read_shard(tmp_path / "out")] == [(5, 6, 0), (), (5, 0), (5, 6, 7)]
    deduplicate_documents([bare], Output(tmp_path / "bare_out"), DeduplicateOptions(), silent)
    assert [ids for ids, _ in read_shard(tmp_path / "bare_out")] == [(5, 6), (5, 6, 0), (5,), (5, 6, 7)]
