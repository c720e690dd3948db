"""Which fields the documents have: known from the schemas of tables, counted where every record has its own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_inputs_world import portions_of

from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.presence import absent
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Fields


def tables(directory: Path) -> None:
    one = pa.table({"text": ["a"], "meta": [{"url": "u"}]})
    pq.write_table(one, directory / "one.parquet")
    with pa.OSFile(str(directory / "two.arrow"), "wb") as file, pa.ipc.new_stream(file, one.schema) as writer:
        writer.write_table(one)
    pq.write_table(pa.table({"text": ["b"], "quality": pa.array([None], pa.int64())}), directory / "three.parquet")


def test_a_field_that_is_a_column_of_no_table_is_known_before_reading(tmp_path: Path) -> None:
    tables(tmp_path)
    (tmp_path / "more.txt").write_text("text")
    names = ["meta.url", "quality", "quaity", "meta.urll"]
    assert absent(list_inputs([tmp_path]), names) == ["quaity", "meta.urll"]
    assert absent(list_inputs([tmp_path / "two.arrow"]), names) == ["quality", "quaity", "meta.urll"]
    assert absent(list_inputs([tmp_path / "more.txt"]), names) == names
    (tmp_path / "open.jsonl").write_text("{}")
    assert absent(list_inputs([tmp_path]), names) == []


def lacking(path: Path, *names: str) -> list[dict[str, int]]:
    return [
        r.lacking for portion in portions_of(path) for r in read_portion(portion, Fields(metadata=names)) if r.texts
    ]


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_documents_without_a_field_are_counted_and_a_null_is_a_field(tmp_path: Path, name: str) -> None:
    rows = [{"text": "a", "there": None}, {"text": "b", "there": 1}]
    if name == "in.jsonl":
        (tmp_path / name).write_text("\n".join(map(json.dumps, [*rows, {"text": 5}])))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    assert lacking(tmp_path / name, "there", "nowhere", "there.inner") == [{"nowhere": 2, "there.inner": 2}]


def test_some_records_may_lack_a_field(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a", "x": {"y": 1}}\n{"text": "b", "x": 2}\n{"text": "c"}\n')
    assert lacking(tmp_path / "in.jsonl", "x", "x.y") == [{"x": 1, "x.y": 2}]


def test_text_files_have_no_fields(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("text")
    assert lacking(tmp_path / "in.txt", "x") == [{"x": 1}]
