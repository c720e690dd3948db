"""Statistics are exact, whatever the size of the batches and files behind them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole_shards import random_documents, write_whole_shard

from megakor.cli import main
from megakor.corpus.inspection.duplicates import find_duplicates
from megakor.corpus.inspection.lengths import LengthCounts, histogram
from megakor.corpus.inspection.statistics import measure
from megakor.corpus.manifest import Count
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import ShardWriter, shard_file
from megakor.errors import ConfigError, DataError, ExitCode


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("stats")
    repeated = [[5, 6, 7]] * 3
    return [
        write_whole_shard(folder / "a", [*random_documents(1, 50), *repeated]),
        write_whole_shard(folder / "b", [*random_documents(2, 30), [5, 6, 7], []]),
    ]


@given(st.lists(st.lists(st.integers(0, 3_000_000), max_size=30), max_size=4), st.floats(0, 1))
def test_quantiles_are_those_of_the_sorted_lengths(batches: list[list[int]], share: float) -> None:
    counts = LengthCounts()
    for batch in batches:
        counts.add(np.array(batch, dtype=np.int64))
    ordered = sorted(length for batch in batches for length in batch)
    wanted = [ordered[max(0, int(np.ceil(share * len(ordered))) - 1)]] if ordered else []
    assert counts.quantiles([share]) == wanted


@given(st.lists(st.integers(0, 2_000_000), max_size=50))
def test_the_histogram_holds_every_document_and_token(lengths: list[int]) -> None:
    counts = LengthCounts()
    counts.add(np.array(lengths, dtype=np.int64))
    edges, documents, tokens = histogram(*counts.table())
    assert len(edges) == len(documents) + 1 == len(tokens) + 1
    assert documents.sum() == pytest.approx(1.0 if any(lengths) else 0.0)
    assert tokens.sum() == pytest.approx(1.0 if any(lengths) else 0.0)


def test_counts_and_shares_add_up_over_shards(two: list[Path]) -> None:
    statistics = measure(two, ["quality"])
    shards = [ShardReader(prefix) for prefix in two]
    tokens = sum(shard.tokens for shard in shards)
    assert statistics.total == Count(85, tokens, 3 * tokens)
    for counts in statistics.groups.values():
        assert sum(count.documents for count in counts.values()) == 85
        assert sum(count.tokens for count in counts.values()) == tokens
    assert statistics.groups["language"]["en"].documents == 29
    assert set(statistics.groups["quality"]) == {"0", "1", "2", "3", "4"}


def test_duplicates_are_counted_over_all_shards_and_the_first_of_them_is_named(
    two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [
        *random_documents(1, 50), *[[5, 6, 7]] * 3, *random_documents(2, 30), [5, 6, 7]
    ]  # fmt: skip
    times = Counter(tuple(document) for document in documents if document)
    repeats = sum(count - 1 for count in times.values())
    for records in (1, 7, 1 << 20):
        monkeypatch.setattr("megakor.corpus.inspection.duplicates._RECORDS_AT_ONCE", records)
        found = find_duplicates([ShardReader(prefix) for prefix in two])
        assert found.documents == repeats
        assert found.tokens == sum((count - 1) * len(document) for document, count in times.items())
        assert (found.repeated[0].copies, found.repeated[0].prefix, found.repeated[0].document) == (4, two[0], 50)


def test_a_shard_of_megatron_tells_what_it_can(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "plain", np.dtype(np.int32)) as writer:
        for document in ([1, 2, 3], [], [70_000]):
            writer.add_document(document)
    statistics = measure([tmp_path / "plain"])
    assert statistics.total == Count(3, 4, None)
    assert statistics.groups["source"] == {"plain": Count(3, 4, None)}
    assert statistics.empty == 1


def test_a_shard_without_documents_has_statistics_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_whole_shard(tmp_path / "none", [])
    assert main(["corpus", "stats", str(tmp_path / "none")]) == ExitCode.DONE
    assert "no documents" in capsys.readouterr().out


def test_rows_are_called_rows_and_padding_is_counted_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [document for document in random_documents(3, 50) if document]
    tokens = sum(map(len, documents))
    prefix, output = write_whole_shard(tmp_path / "in", documents), tmp_path / "out"
    assert main(["corpus", "regroup", str(prefix), "--output", str(output), "--row-tokens", "64", "--pad-id", "1"]) == 0
    rows = ShardReader(output).documents
    padding = 64 * rows - tokens
    assert padding > 0
    statistics = measure([output])
    assert (statistics.total.documents, statistics.total.tokens, statistics.padding_tokens) == (rows, tokens, padding)
    assert sum(count.tokens for count in statistics.groups["language"].values()) == tokens
    assert measure([prefix, output]).noun == "documents and rows"
    capsys.readouterr()
    assert main(["corpus", "stats", str(output)]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "share of rows" in text and "documents" not in text
    assert f"padding: {padding:,} tokens beside these" in text
    assert main(["corpus", "verify", str(output)]) == ExitCode.DONE
    assert f"({rows:,} rows, {tokens:,} tokens and {padding:,} of padding, " in capsys.readouterr().out


def test_a_field_that_no_shard_has_is_refused_with_those_there_are(two: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"--by qualty: no shard has this field .* quality"):
        measure(two, ["qualty"])


def test_metadata_of_another_shard_is_an_error(tmp_path: Path) -> None:
    short, long = (write_whole_shard(tmp_path / str(count), random_documents(1, count)) for count in (5, 9))
    shard_file(short, ".parquet").replace(shard_file(long, ".parquet"))
    with pytest.raises(DataError, match="fewer rows than the index has documents"):
        measure([long])


def test_the_verb_prints_tables_json_and_a_picture(
    two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["corpus", "stats", str(two[0].parent), "--by", "quality"]
    assert main([*words, "--plot", str(tmp_path / "picture.png")]) == ExitCode.DONE
    text, said = capsys.readouterr()
    assert said == f"wrote {tmp_path / 'picture.png'}\n"
    assert "length in tokens" in text and "4 copies of document 50" in text
    assert re.search(r"^duplicates: \d+ documents .* with the tokens of an earlier one, \d+ tokens", text, re.MULTILINE)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--json", "--no-duplicates"]) == ExitCode.DONE
    record = json.loads(capsys.readouterr().out)
    assert record["documents"] == 85 and record["bytes_per_token"] == 3.0 and record["duplicates"] is None
