"""A manifest may hold any JSON: each verb refuses what is of another type in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from operation_worlds import random_documents, write_shard

from megakor.cli import main
from megakor.corpus.manifest import Manifest, read_manifest
from megakor.errors import DataError, ExitCode

SURROGATE = "\ud800"
VERBS = {
    "merge": [],
    "shuffle": [],
    "split": ["--field", "language"],
    "filter": ["--where", "language == 'ko'"],
    "repeat": ["--times", "2"],
    "deduplicate": [],
    "regroup": ["--row-tokens", "32", "--pad-id", "0"],
    "stats": [],
}
FOREIGN = (
    ("operations", 1.5),
    ("operations", [1]),
    ("options", None),
    ("options", [["a", 1]]),
    ("options", {"x": SURROGATE}),
    ("skipped", None),
    ("skipped", {"empty": "many"}),
    ("append_eod", SURROGATE),
    ("append_eod", 1),
    ("counts", None),
    ("counts", {"language": 3}),
    ("counts", {"language": {"ko": {"documents": 1, "tokens": 1, "text_bytes": "x"}}}),
    ("checksums", []),
    ("checksums", {"bin": 1}),
    ("inputs", {"path": 1}),
    ("inputs", ""),
    ("inputs", {}),
    ("inputs", [{"path": 1, "bytes": 2, "sha256": "x"}]),
    ("holdout", []),
    ("holdout", {"seed": "x", "exclusive_sentences": True}),
    ("holdout_share", float("nan")),
    ("tokens", True),
    ("language", None),
    ("shuffle_seed", 0.5),
)


def change(prefix: Path, key: str, value: Any) -> None:
    path = prefix.with_name(prefix.name + ".json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}))


@pytest.mark.parametrize(("key", "value"), FOREIGN)
def test_a_field_of_another_type_is_refused_and_named(tmp_path: Path, key: str, value: Any) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(3))
    change(prefix, key, value)
    with pytest.raises(DataError, match=r"ko\.json: ") as refused:
        read_manifest(prefix)
    str(refused.value).encode("utf-8")


def test_nesting_that_no_verb_could_write_again_is_refused(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(3))
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    change(prefix, "options", {"deep": deep})
    with pytest.raises(DataError, match="levels of nesting"):
        read_manifest(prefix)


def test_what_a_verb_writes_is_read_back_as_it_was(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(3))
    for number in range(4):
        assert main(["corpus", "repeat", str(prefix), "--times", "1", "--output", str(tmp_path / f"n{number}")]) == 0
        prefix = tmp_path / f"n{number}"
    manifest = read_manifest(prefix)
    assert isinstance(manifest, Manifest) and len(manifest.operations) == 4


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("key", "value"), [("operations", 1.5), ("options", None), ("skipped", None)])
def test_no_verb_ends_in_a_traceback(tmp_path: Path, verb: str, key: str, value: Any) -> None:
    prefixes = [write_shard(tmp_path / name, random_documents(3)) for name in ("a", "b")]
    change(prefixes[0], key, value)
    output = [] if verb == "stats" else ["--output", str(tmp_path / "out")]
    assert main(["corpus", verb, *map(str, prefixes), *output, *VERBS[verb]]) == ExitCode.DATA


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (pa.nulls(3), ExitCode.DONE),
        (pa.array([1, 2, 3], pa.int32()), ExitCode.DONE),
        (pa.array(["a", "b", None]), ExitCode.DATA),
        (pa.array([1.5, 2.0, 3.0]), ExitCode.DATA),
        (pa.array([2**63, 1, 1], pa.uint64()), ExitCode.DATA),
    ],
)
def test_stats_reads_bytes_of_text_of_any_whole_number_and_refuses_others(
    tmp_path: Path, column: pa.Array, code: ExitCode
) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(3))
    path = tmp_path / "ko.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("text_bytes"), "text_bytes", column), path)
    assert main(["corpus", "stats", str(prefix)]) == code
