"""Several shards into one: what fits together, in which order, and what the manifest says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_worlds import random_documents, read_shard, write_shard

from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations import merge, stream
from megakor.corpus.operations.merge import MergeOptions, merge_shards
from megakor.corpus.operations.workplace import Output
from megakor.errors import ConfigError, DataError, MegakorError

INTERLEAVED = MergeOptions(interleave=True)


def silent(_: str) -> None: ...


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any), st.booleans(), st.sampled_from([1, 40, 10**6]))
def test_documents_stand_end_to_end_or_evenly_spread(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], interleave: bool, batch_tokens: int
) -> None:
    place = tmp_path_factory.mktemp("merge")
    prefixes, placed = [], []
    for number, count in enumerate(counts):
        prefix = write_shard(place / f"in{number}", random_documents(count, number))
        spots = [(i + 0.5) / count if interleave else number for i in range(count)]
        placed += list(zip(spots, read_shard(prefix), strict=True))
        prefixes.append(prefix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BATCH_DOCUMENTS", 4)
        patch.setattr(merge, "BATCH_TOKENS", batch_tokens)
        merge_shards(prefixes, Output(place / "out"), MergeOptions(interleave), silent)
    expected = [document for _, document in sorted(placed, key=lambda pair: pair[0])]
    assert read_shard(place / "out") == expected


def test_fields_and_their_types_are_those_of_all_shards(tmp_path: Path) -> None:
    a = write_shard(tmp_path / "a", [[1, 0]], {"quality": [3], "url": ["x"], "id": [7]})
    b = write_shard(tmp_path / "b", [[2, 0]], {"quality": [0.5], "id": ["seven"]})
    said: list[str] = []
    merge_shards([a, b], Output(tmp_path / "out"), MergeOptions(), said.append)
    rows = [row for _, row in read_shard(tmp_path / "out")]
    assert [(row["quality"], row["url"], row["id"]) for row in rows] == [(3.0, "x", "7"), (0.5, None, "seven")]
    assert [row["source"] for row in rows] == ["a.jsonl", "b.jsonl"]
    assert [line for line in said if "becomes text" in line] == [
        "id is of different types (int64, string) and becomes text"
    ]


def test_the_manifest_is_that_of_all_shards(tmp_path: Path) -> None:
    a, b = (write_shard(tmp_path / name, random_documents(5, len(name)), language=name) for name in ("ko", "eng"))
    manifest = merge_shards([a, b], Output(tmp_path / "out"), MergeOptions(), silent)
    assert manifest is not None and manifest == read_manifest(tmp_path / "out")
    assert (manifest.language, manifest.documents, manifest.text_bytes) == ("", 10, 3 * manifest.tokens)
    assert set(manifest.counts["language"]) == {"ko", "eng"} and manifest.role == "training"
    twice = merge_shards([tmp_path / "out"], Output(tmp_path / "again"), MergeOptions(), silent)
    assert twice is not None and [entry["name"] for entry in twice.operations] == ["merge", "merge"]


def test_a_shard_of_megatron_may_join_and_what_is_unknown_is_said(tmp_path: Path) -> None:
    a = write_shard(tmp_path / "a", random_documents(5))
    b = write_shard(tmp_path / "b", random_documents(5, 1), with_manifest=False, with_metadata=False)
    said: list[str] = []
    manifest = merge_shards([a, b], Output(tmp_path / "out"), INTERLEAVED, said.append)
    assert manifest is not None and manifest.text_bytes is None and manifest.tokenizer_sha256 == "a" * 64
    assert any(line.startswith(f"{b} has no manifest") and "that of the others" in line for line in said)
    assert {row["text_bytes"] is None for _, row in read_shard(tmp_path / "out")} == {True, False}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"tokenizer": "b" * 64}, "made with tokenizer aaaaaaaaaaaa and .*b with bbbbbbbbbbbb"),
        ({"dtype": np.dtype(np.int32)}, "uint16 tokens and .* int32"),
        ({"role": "validation"}, "a training shard and .* a validation shard"),
        ({"append_eod": False}, "end-of-document token and those of .*b do not"),
    ],
)
def test_shards_that_do_not_fit_together_are_refused_by_name(
    tmp_path: Path, other: dict[str, object], words: str
) -> None:
    a = write_shard(tmp_path / "a", random_documents(5))
    b = write_shard(tmp_path / "b", random_documents(5), **other)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=words):
        merge_shards([a, b], Output(tmp_path / "out"), MergeOptions(), silent)


def test_inputs_that_are_no_shards_are_refused(tmp_path: Path) -> None:
    a = write_shard(tmp_path / "a", random_documents(5))
    with pytest.raises(ConfigError, match="no shard is given"):
        merge_shards([], Output(tmp_path / "out"), MergeOptions(), silent)
    with pytest.raises(MegakorError, match=r"nothing\.(bin|idx) is missing"):
        merge_shards([a, tmp_path / "nothing"], Output(tmp_path / "out"), MergeOptions(), silent)
    (tmp_path / "a.rows.arrow").write_bytes(b"")
    with pytest.raises(DataError, match="packed into rows already"):
        merge_shards([a], Output(tmp_path / "out"), MergeOptions(), silent)
    assert list(tmp_path.glob("out*")) == []
