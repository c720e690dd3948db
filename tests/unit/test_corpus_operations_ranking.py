"""Documents by a number: sorted in any memory, and the best of them up to a number of tokens."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import Document, random_documents, read_shard, write_shard

from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import stream
from megakor.corpus.operations.ranking import BestOptions, SortOptions, best_documents, sort_documents
from megakor.corpus.operations.workplace import Output
from megakor.errors import DataError

NUMBERS = st.none() | st.integers(-3, 3) | st.floats(-3, 3)


def silent(_: str) -> None: ...


def worlds(place: Path, numbers: list[list[float | None]]) -> tuple[list[Path], list[Document]]:
    """Shards whose documents have these numbers, and all of their documents in order."""
    prefixes = []
    for index, row in enumerate(numbers):
        values = [None if number is None else float(number) for number in row]
        prefixes.append(write_shard(place / f"in{index}", random_documents(len(row), index), {"quality": values}))
    return prefixes, [document for prefix in prefixes for document in read_shard(prefix)]


def place_of(document: Document, descending: bool) -> float:
    number = document[1]["quality"]
    return math.inf if number is None else -number if descending else number


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=40), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([1, 4000, 1 << 30]),
)
def test_documents_come_in_the_order_of_their_numbers_for_any_memory(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[list[float | None]], descending: bool, memory: int
) -> None:
    place = tmp_path_factory.mktemp("sort")
    prefixes, documents = worlds(place, numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BATCH_DOCUMENTS", 7)
        sort_documents(prefixes, Output(place / "out"), SortOptions("quality", descending, memory), silent)
    assert read_shard(place / "out") == sorted(documents, key=lambda document: place_of(document, descending))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=40), min_size=1, max_size=3), st.booleans(), st.integers(20, 500)
)
def test_the_best_documents_are_kept_in_the_order_of_the_inputs(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[list[float | None]], highest: bool, tokens: int
) -> None:
    place = tmp_path_factory.mktemp("best")
    prefixes, documents = worlds(place, numbers)
    known = [document for document in documents if document[1]["quality"] is not None]
    best: list[Document] = []
    for document in sorted(known, key=lambda document: place_of(document, highest)):
        if sum(len(kept) for kept, _ in best) + len(document[0]) > tokens:
            break
        best.append(document)
    options, output = BestOptions("quality", highest, tokens), Output(place / "out")
    if not best:
        with pytest.raises(DataError, match="no document is left"):
            best_documents(prefixes, output, options, silent)
        return
    best_documents(prefixes, output, options, silent)
    kept = read_shard(place / "out")
    assert sorted(map(str, kept)) == sorted(map(str, best))
    assert kept == [document for document in documents if document in kept]


def test_the_length_is_a_number_too(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(50))
    sort_documents([prefix], Output(tmp_path / "out"), SortOptions("tokens"), silent)
    lengths = [len(tokens) for tokens, _ in read_shard(tmp_path / "out")]
    assert lengths == sorted(len(tokens) for tokens, _ in read_shard(prefix))
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None and manifest.shuffle_seed is None
    assert manifest.operations[-1]["options"] == {"field": "tokens", "descending": False}


def test_what_has_no_number_is_said(tmp_path: Path) -> None:
    ranked = write_shard(tmp_path / "ranked", random_documents(5), {"quality": [3.0, 1.0, None, 2.0, 5.0]})
    bare = write_shard(tmp_path / "bare", random_documents(4, 1), with_metadata=False)
    said: list[str] = []
    sort_documents([ranked, bare], Output(tmp_path / "out"), SortOptions("quality"), said.append)
    assert "5 of 9 documents have no number in quality; they stand at the end" in said
    best_documents([ranked, bare], Output(tmp_path / "best"), BestOptions("quality", True, 10_000), said.append)
    assert "5 of 9 documents have no number in quality; they are left out" in said
    assert any(line.startswith("only ") and line.endswith("all of them are kept") for line in said)
    assert "quality of the last one that is kept: 1" in said
