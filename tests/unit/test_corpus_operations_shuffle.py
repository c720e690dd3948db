"""The global shuffle: every document once, in an order that the seed alone decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import file_bytes, random_documents, read_shard, write_shard

from megakor.corpus.build.order import document_keys
from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import stream
from megakor.corpus.operations.shuffle import ShuffleOptions, shuffle_documents
from megakor.corpus.operations.workplace import Output
from megakor.errors import ConfigError


def silent(_: str) -> None: ...


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(0, 2**40), st.sampled_from([1, 4000, 1 << 30]))
def test_the_order_is_that_of_the_keys_for_any_memory(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], seed: int, memory: int
) -> None:
    place = tmp_path_factory.mktemp("shuffle")
    prefixes, keyed = [], []
    for number, count in enumerate(counts):
        prefix = write_shard(place / f"in{number}", random_documents(count, number), {"quality": list(range(count))})
        keyed += list(zip(document_keys(number, np.arange(count), seed).tolist(), read_shard(prefix), strict=True))
        prefixes.append(prefix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BATCH_DOCUMENTS", 7)
        shuffle_documents(prefixes, Output(place / "out"), ShuffleOptions(seed, memory), silent)
    expected = [document for _, document in sorted(keyed, key=lambda pair: pair[0])]
    assert read_shard(place / "out") == expected


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_order(tmp_path: Path) -> None:
    documents = random_documents(200)
    prefix = write_shard(tmp_path / "in", documents, {"quality": [number % 5 for number in range(200)]})
    files = []
    for name, options in {
        "a": ShuffleOptions(7),
        "b": ShuffleOptions(7, memory=1),
        "c": ShuffleOptions(8),
    }.items():
        (tmp_path / name).mkdir()
        shuffle_documents([prefix], Output(tmp_path / name / "out"), options, silent)
        files.append(file_bytes(tmp_path / name / "out"))
    assert files[0] == files[1] != files[2]
    assert sorted(read_shard(tmp_path / "a/out"), key=str) == sorted(read_shard(prefix), key=str)
    manifest = read_manifest(tmp_path / "a/out")
    assert manifest is not None and manifest.shuffle_seed == 7 and manifest.text_bytes == 3 * manifest.tokens


def test_every_document_may_go_everywhere() -> None:
    """Over many seeds the first of ten documents lands on each place about equally often."""
    places = [int((np.argsort(document_keys(0, np.arange(10), seed)) == 0).argmax()) for seed in range(2000)]
    assert np.bincount(places, minlength=10).min() > 140 and np.bincount(places, minlength=10).max() < 265


def test_a_shard_given_twice_is_refused(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(3))
    with pytest.raises(ConfigError, match="more than once"):
        shuffle_documents([prefix, prefix], Output(tmp_path / "out"), ShuffleOptions(), silent)


def test_bytes_of_text_survive_where_single_documents_are_not_measured(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(20), with_metadata=False)
    manifest = shuffle_documents([prefix], Output(tmp_path / "out"), ShuffleOptions(), silent)
    before = read_manifest(prefix)
    assert manifest is not None and before is not None and manifest.text_bytes == before.text_bytes
    assert {count.text_bytes for count in manifest.counts["language"].values()} == {None}
