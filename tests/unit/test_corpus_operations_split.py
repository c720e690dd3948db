"""Splitting by values and by ranges."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import file_bytes, random_documents, read_shard, write_shard

from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import stream
from megakor.corpus.operations.parts import part_name
from megakor.corpus.operations.split import SplitOptions, part_prefix, split_documents
from megakor.corpus.operations.workplace import Output
from megakor.errors import ConfigError


def silent(_: str) -> None: ...


values = st.one_of(
    st.lists(st.none() | st.sampled_from(["ko", "en", "", "가"]), min_size=1, max_size=20).map(
        lambda v: pa.array(v, pa.string())
    ),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=20).map(lambda v: pa.array(v, pa.bool_())),
    st.lists(st.none() | st.sampled_from([0.5, 1.0, 1e9]), min_size=1, max_size=20).map(
        lambda v: pa.array(v, pa.float64())
    ),
)


@settings(max_examples=15, deadline=None)
@given(values)
def test_each_value_gets_its_documents_in_order(tmp_path_factory: pytest.TempPathFactory, column: pa.Array) -> None:
    place = tmp_path_factory.mktemp("split")
    prefix = write_shard(place / "in", random_documents(len(column)), {"field": column})
    expected: dict[str, list[Any]] = {}
    for value, document in zip(column.to_pylist(), read_shard(prefix), strict=True):
        expected.setdefault(part_name(value), []).append(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BATCH_DOCUMENTS", 6)
        manifests = split_documents([prefix], Output(place / "out"), SplitOptions("field"), silent)
    assert set(manifests) == set(expected)
    assert {name: read_shard(place / f"out_{name}") for name in expected} == expected


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.none() | st.integers(-3, 6), min_size=1, max_size=20),
    st.lists(st.integers(-2, 5), min_size=1, max_size=3, unique=True).map(sorted),
)
def test_each_range_takes_from_its_edge_to_below_the_next(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int | None], edges: list[int]
) -> None:
    place = tmp_path_factory.mktemp("split")
    prefix = write_shard(place / "in", random_documents(len(numbers)), {"quality": pa.array(numbers, pa.int64())})
    bounds = [-math.inf, *edges, math.inf]
    names = [f"below-{edges[0]}", *(f"{a}-to-{b}" for a, b in pairwise(edges)), f"from-{edges[-1]}"]
    expected: dict[str, list[Any]] = {}
    for number, document in zip(numbers, read_shard(prefix), strict=True):
        name = "none" if number is None else names[sum(edge <= number for edge in bounds) - 1]
        expected.setdefault(name, []).append(document)
    options = SplitOptions("quality", tuple(map(float, edges)))
    split_documents([prefix], Output(place / "out"), options, silent)
    assert {path.name for path in place.glob("out_*.bin")} == {f"out_{name}.bin" for name in expected}
    assert {name: read_shard(place / f"out_{name}") for name in expected} == expected


def test_a_split_by_language_gives_shards_of_one_language(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(4), language="ko")
    other = write_shard(tmp_path / "en", random_documents(3, 1), language="en", with_metadata=False)
    said: list[str] = []
    split_documents([prefix, other], Output(tmp_path / "out"), SplitOptions("language"), said.append)
    for language, documents in (("ko", 4), ("en", 3)):
        manifest = read_manifest(tmp_path / f"out_{language}")
        assert manifest is not None and (manifest.language, manifest.documents) == (language, documents)
        assert manifest.operations[-1]["options"]["part"] == language
    assert f"{tmp_path / 'out_ko'}: 4 documents from 7" in said


def test_parts_of_a_validation_shard_are_validation_shards(tmp_path: Path) -> None:
    assert part_prefix(tmp_path / "ko.v2", "3") == tmp_path / "ko.v2_3"
    assert part_prefix(tmp_path / "ko.validation", "3") == tmp_path / "ko_3.validation"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SplitOptions("quality", (3.0, 2.0)), "ascending"),
        (SplitOptions("quality", ()), "ascending"),
        (SplitOptions("name", (1.0,)), "numbers are needed"),
        (SplitOptions("nmae"), "did you mean name"),
        (SplitOptions("quality", most_outputs=3), "more than 3 parts"),
        (SplitOptions("quality", most_outputs=0), "--max-outputs"),
        (SplitOptions("many"), "cannot be split"),
        (SplitOptions("name"), "would both go"),
        (SplitOptions("long"), "too long"),
    ],
)
def test_a_split_that_cannot_work_is_refused_before_any_work(tmp_path: Path, options: SplitOptions, words: str) -> None:
    columns = {
        "quality": [1, 2, 3, 4],
        "name": ["a/b", "a b", "c", "d"],
        "many": [[1], [2], [3], [4]],
        "long": ["x" * 101] * 4,
    }
    prefix = write_shard(tmp_path / "in", random_documents(4), columns)
    with pytest.raises(ConfigError, match=words):
        split_documents([prefix], Output(tmp_path / "out"), options, silent)
    assert list(tmp_path.glob("out*")) == []


def test_one_part_that_is_there_keeps_all_others_from_appearing(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(4), {"quality": [1, 2, 1, 2]})
    old = write_shard(tmp_path / "out_2", random_documents(2, 5))
    before = file_bytes(old)
    with pytest.raises(ConfigError, match=r"out_2.* exists"):
        split_documents([prefix], Output(tmp_path / "out"), SplitOptions("quality"), silent)
    assert file_bytes(old) == before and not list(tmp_path.glob("out_1*"))
    split_documents([prefix], Output(tmp_path / "out", overwrite=True), SplitOptions("quality"), silent)
    assert len(read_shard(old)) == 2 and file_bytes(old) != before
