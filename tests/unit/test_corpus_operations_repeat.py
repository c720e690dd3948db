"""Rehydration as published, and repeats by weight."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import file_bytes, random_documents, read_shard, write_shard

from megakor.cli import main
from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import repeat, stream
from megakor.corpus.operations.rehydration import (
    TABLES,
    interpolated,
    parse_weights,
    repetitions,
    weights_from_distribution,
    weights_of,
)
from megakor.corpus.operations.repeat import RepeatOptions, repeat_documents
from megakor.corpus.operations.workplace import Output
from megakor.errors import ConfigError, DataError

KOREAN = Path(__file__).parents[1] / "golden" / "fineweb2_kor_hang.json"
DOCUMENTS_AFTER = {
    3: 104_727_694,
    4: 123_128_236,
    5: 149_759_816,
    6: 168_850_986,
    7: 191_280_067,
    8: 211_258_277,
    9: 226_765_358,
    10: 254_902_622,
}
"""104.7M, 123.1M, ... 254.9M as published."""


def silent(_: str) -> None: ...


@pytest.mark.parametrize("most", [3, 5, 10])
def test_the_published_korean_tables_follow_from_the_removal_rates(most: int) -> None:
    assert weights_from_distribution(KOREAN, most) == parse_weights(f"fineweb2-korean-{most}")


@pytest.mark.parametrize(("most", "documents"), DOCUMENTS_AFTER.items())
def test_the_published_sizes_follow_from_the_tables(most: int, documents: int) -> None:
    record = json.loads(KOREAN.read_text(encoding="utf-8"))
    sizes = np.array([*record["cluster_sizes"], record["tail_threshold"]], dtype=float)
    counts = np.array([*record["cluster_post_filtering_doc_counts"], record["tail_post_filtering_doc_counts"]])
    assert counts.sum() == 60_874_355
    assert (counts * weights_of(sizes, weights_from_distribution(KOREAN, most))).sum() == documents


def test_repetitions_lie_on_a_line_between_the_global_and_the_lowest_rate() -> None:
    rates = np.array([0.2, 0.3, 0.45, 0.5, 0.6, 0.8])
    assert np.round(interpolated(rates, 0.6, 10)).tolist() == [10, 8, 4, 3, 1, 1]
    assert repetitions(np.full(9, 0.7), 0.6, 10).tolist() == [1] * 9
    assert repetitions(np.array([0.2, 0.7]), 0.6, 10).tolist() == [10, 1]


def test_the_mean_over_five_sizes_leaves_both_ends_alone() -> None:
    rates = np.array([1, 0, 1, 1, 1, 1, 0.0])
    assert repetitions(rates, 1, 6).tolist() == [1, 6, 2, 2, 2, 1, 6]


def test_a_weight_holds_from_its_value_on() -> None:
    values = np.array([0, 1, 1.5, 4, 5, 99, 1e9, np.nan])
    assert weights_of(values, parse_weights("1:2,5:0.5,100:7")).tolist() == [1, 2, 2, 2, 0.5, 0.5, 7, 1]
    assert parse_weights("fineweb2-simple")[1000] == 1 and set(TABLES) >= {"fineweb2-simple"}


@pytest.mark.parametrize("text", ["", "3", "1:2:3", "a:1", "1:-1", "1:nan", "1:2000", "1:1,1:2", "fineweb2"])
def test_weights_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--weights"):
        parse_weights(text)


def rates_with(**changes: Any) -> str:
    record = {"cluster_sizes": [1, 2], "tail_threshold": 3, "cluster_removal_rates": [0.5, 0.2]}
    return json.dumps({**record, "tail_removal_rate": 0.9, "global_removal_rate": 0.4, **changes})


def test_the_file_that_the_wrong_ones_are_made_of_is_right(tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(rates_with())
    assert weights_from_distribution(tmp_path / "rates.json", 10) == {1.0: 1, 2.0: 10, 3.0: 1}


WRONG_RATES = (
    rates_with(cluster_sizes=["a", "b"]),
    rates_with(cluster_sizes=[[1], [2]]),
    rates_with(cluster_sizes=[1, float("nan")]),
    rates_with(cluster_sizes=[1, True]),
    pytest.param(rates_with(cluster_sizes=[1, 10**400], tail_threshold=10**401), id="huge"),
    rates_with(cluster_removal_rates=[0.5, float("nan")]),
    rates_with(cluster_removal_rates=[0.5, 1e308]),
    rates_with(cluster_removal_rates=["0.5", "0.2"]),
    rates_with(tail_removal_rate=None),
    rates_with(global_removal_rate=float("nan")),
    rates_with(global_removal_rate=float("inf")),
    rates_with(global_removal_rate=[0.4]),
    pytest.param("[" * 100_000, id="deep"),
)


@pytest.mark.parametrize("most", [0, -1, 1001, 10**30])
def test_a_number_of_repetitions_beyond_sense_is_refused(tmp_path: Path, most: int) -> None:
    (tmp_path / "rates.json").write_text(rates_with())
    with pytest.raises(ConfigError, match=f"--most {most}: "):
        weights_from_distribution(tmp_path / "rates.json", most)


@pytest.mark.parametrize("times", ["-1", "nan", "inf", "1001"])
def test_bad_times_are_not_blamed_on_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str], times: str) -> None:
    prefix = write_shard(tmp_path / "in", random_documents(3))
    assert main(["corpus", "repeat", str(prefix), f"--times={times}", "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"--times {times}: give 0 to 1000" in error and "--weights" not in error


@pytest.mark.parametrize("text", ["", "[]", '{"cluster_sizes": [1]}', None, *WRONG_RATES])
def test_a_file_that_is_no_distribution_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "rates.json").write_text(text)
    with pytest.raises(DataError, match=r"rates\.json"):
        weights_from_distribution(tmp_path / "rates.json", 10)


sizes_of_clusters = st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=25)


@settings(max_examples=15, deadline=None)
@given(sizes_of_clusters, st.dictionaries(st.integers(0, 6), st.integers(1, 4), min_size=1), st.booleans())
def test_whole_weights_repeat_as_a_plain_loop_would(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int | None], weights: dict[float, float], spread: bool
) -> None:
    place = tmp_path_factory.mktemp("repeat")
    prefix = write_shard(
        place / "in", random_documents(len(sizes)), {"minhash_cluster_size": pa.array(sizes, pa.int64())}
    )
    expected = []
    for size, document in zip(sizes, read_shard(prefix), strict=True):
        edges = [edge for edge in weights if size is not None and edge <= size]
        expected += [document] * int(weights[max(edges)] if edges else 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BATCH_DOCUMENTS", 6)
        patch.setattr(repeat, "COPIES", 5)
        repeat_documents([prefix], Output(place / "out"), RepeatOptions(weights, spread=spread, memory=1), silent)
    found = read_shard(place / "out")
    if not spread:
        assert found == expected
    assert Counter(map(str, found)) == Counter(map(str, expected))


def test_repeats_are_spread_over_the_whole_output(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", [[number, 0] for number in range(1, 201)])
    options = RepeatOptions(parse_weights("0:5"), field=None)
    manifest = repeat_documents([prefix], Output(tmp_path / "out"), options, silent)
    found = np.array([ids[0] for ids, _ in read_shard(tmp_path / "out")])
    assert np.bincount(found)[1:].tolist() == [5] * 200
    gaps = np.array([np.diff(np.flatnonzero(found == number)).mean() for number in range(1, 201)])
    assert 120 < gaps.mean() < 220  # (1000 + 1) / 6 for places drawn at random
    assert manifest is not None and manifest.shuffle_seed == options.seed
    assert manifest.text_bytes == 5 * 3 * 400


def test_fractions_are_drawn_by_document_and_seed(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", [[number % 300, 0] for number in range(2000)])
    counts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = RepeatOptions(parse_weights("0:1.25"), field=None, spread=False, seed=seed)
        (tmp_path / name).mkdir()
        manifest = repeat_documents([prefix], Output(tmp_path / name / "out"), options, silent)
        assert manifest is not None and 2400 < manifest.documents < 2600
        counts.append(file_bytes(tmp_path / name / "out"))
    assert counts[0] == counts[1] != counts[2]


def test_weight_zero_drops_and_a_field_must_hold_numbers(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", [[1, 0], [2, 0], [3, 0]], {"size": [1, 2, None], "name": ["a", "b", "c"]})
    repeat_documents([prefix], Output(tmp_path / "out"), RepeatOptions({1: 0, 2: 1}, "size", spread=False), silent)
    assert [ids for ids, _ in read_shard(tmp_path / "out")] == [(2, 0), (3, 0)]
    with pytest.raises(ConfigError, match="numbers are needed"):
        repeat_documents([prefix], Output(tmp_path / "b"), RepeatOptions({1: 0}, "name"), silent)
    with pytest.raises(ConfigError, match="did you mean size"):
        repeat_documents([prefix], Output(tmp_path / "b"), RepeatOptions({1: 0}, "siez"), silent)
    with pytest.raises(DataError, match="no document is left"):
        repeat_documents([prefix], Output(tmp_path / "b"), RepeatOptions({0: 0}, None), silent)
    first = read_manifest(tmp_path / "out")
    assert first is not None and first.operations[-1]["options"]["weights"] == {"1": 0, "2": 1}
