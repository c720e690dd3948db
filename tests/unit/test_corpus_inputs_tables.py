"""Parquet and Arrow: every row once however a file is cut, values as JSON would have them, damage told from text."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_inputs_world import read_all

from megakor.corpus.inputs import arrow, columns
from megakor.corpus.inputs.cutting import TaskSizes, cut
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Fields
from megakor.errors import DataError

ROWS = 2500
FORMATS = ("file", "stream", "parquet")


def write(path: Path, table: pa.Table, rows: int = 400) -> Path:
    """In the format that the stem names, in groups or batches of so many rows."""
    if path.stem == "parquet":
        pq.write_table(table, path.with_suffix(".parquet"), row_group_size=rows)
        return path.with_suffix(".parquet")
    writer = pa.ipc.new_file if path.stem == "file" else pa.ipc.new_stream
    with pa.OSFile(str(path.with_suffix(".arrow")), "wb") as out, writer(out, table.schema) as into:
        into.write_table(table, rows)
    return path.with_suffix(".arrow")


def corpus() -> pa.Table:
    texts = [f"문서 {row}" for row in range(ROWS)]
    return pa.table(
        {
            "text": texts,
            "packed": pa.array(["same"] * ROWS).dictionary_encode(),
            "bytes": [text.encode() for text in texts],
            "large": pa.array(texts, pa.large_string()),
            "doc": [{"body": text, "quality": row} for row, text in enumerate(texts)],
            "doc.body": ["literal"] * ROWS,
            "date": [datetime.date(2024, 5, 1)] * ROWS,
            "time": pa.array([1] * ROWS, pa.timestamp("ns")),
            "price": [decimal.Decimal("1.50")] * ROWS,
            "tags": [["a", "b"]] * ROWS,
        }
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("task_bytes", [1, 30_000, 1 << 30])
def test_every_row_is_read_once_however_the_file_is_cut(tmp_path: Path, name: str, task_bytes: int) -> None:
    path = write(tmp_path / name, corpus())
    read = read_all(path, Fields(metadata=("doc.quality",)), task_bytes)
    assert read.texts == [f"문서 {row}" for row in range(ROWS)]
    assert read.positions == read.metadata["doc.quality"] == list(range(ROWS))
    portions = len(cut(0, list_inputs([path])[0], TaskSizes(task_bytes)))
    assert portions == (1 if task_bytes == 1 << 30 or name == "stream" else 7 if task_bytes == 1 else portions)


@pytest.mark.parametrize("name", FORMATS)
def test_any_column_of_text_is_read_and_metadata_come_as_json_has_them(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, corpus())
    for key, last in {"packed": "same", "bytes": "문서 2499", "large": "문서 2499", "doc.body": "literal"}.items():
        assert read_all(path, Fields(key)).texts[-1] == last
    wanted = ("date", "time", "price", "tags", "packed", "doc.quality", "doc.nothing", "nothing")
    last_values = {key: values[-1] for key, values in read_all(path, Fields(metadata=wanted)).metadata.items()}
    assert last_values == {
        "date": "2024-05-01",
        "time": "1970-01-01 00:00:00.000000001",
        "price": "1.50",
        "tags": ["a", "b"],
        "packed": "same",
        "doc.quality": 2499,
        "doc.nothing": None,
        "nothing": None,
    }


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_without_text_is_a_problem_and_its_neighbours_are_read(tmp_path: Path, name: str) -> None:
    raw = pa.array([b"good", b"\xff", None, b"last"])
    table = pa.table({"text": raw.view(pa.string()), "doc": pa.array([{"body": "x"}, None, None, {"body": "y"}])})
    path = write(tmp_path / name, table)
    read = read_all(path, Fields(metadata=("doc",)))
    assert (read.positions, read.texts) == ([0, 3], ["good", "last"])
    assert read.metadata["doc"] == [{"body": "x"}, {"body": "y"}]
    assert [(problem.kind, problem.message.split(": ")[0]) for problem in read.problems] == [
        ("utf-8", f"{path}, row 1"),
        ("wrong type", f"{path}, row 2"),
    ]
    assert read_all(path, Fields("doc.body")).texts == ["x", "y"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_column_that_is_missing_or_no_text_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, corpus())
    with pytest.raises(DataError, match=r"no column 'body' \(columns here: 'text', .*--json-keys"):
        read_all(path, Fields("body"))
    for key in ("tags", "doc.quality"):
        with pytest.raises(DataError, match=f"column '{key}' holds .*, not text"):
            read_all(path, Fields(key))


@pytest.mark.parametrize("name", FORMATS)
def test_two_columns_of_one_name_are_refused_where_they_are_wanted(tmp_path: Path, name: str) -> None:
    table = pa.table([["a"], ["b"], [1], [2], ["c"]], names=["text", "text", "n", "n", "body"])
    path = write(tmp_path / name, table)
    with pytest.raises(DataError, match="2 columns are named 'text'; rename all but one"):
        read_all(path)
    with pytest.raises(DataError, match="2 columns are named 'n'"):
        read_all(path, Fields("body", ("n",)))
    assert read_all(path, Fields("body")).texts == ["c"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_without_rows_has_no_documents(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, corpus().slice(0, 0))
    assert read_all(path).texts == []


def test_long_documents_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH_BYTES", 1000)
    table = pa.table({"text": [str(row) * 100 for row in range(10, 99)]})
    for name in FORMATS:
        (portion,) = cut(0, list_inputs([write(tmp_path / name, table)])[0], 1 << 30)
        batches = [len(records.texts) for records in read_portion(portion, Fields())]
        assert sum(batches) == 89
        assert max(batches) <= 10


def test_offsets_that_point_outside_the_file_are_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "file", pa.table({"text": pa.array(["a" * 8] * 64)}))
    raw = bytearray(path.read_bytes())
    offsets = raw.index((8).to_bytes(4, "little") + (16).to_bytes(4, "little"))
    raw[offsets : offsets + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"file\.arrow: damaged or cut off"):
        read_all(path)


def test_a_stream_ends_with_its_mark_and_with_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "stream", corpus())
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(DataError, match="no end mark"):
        read_all(path)
    path.write_bytes(whole + whole)
    with pytest.raises(DataError, match="follows the end"):
        read_all(path)


@pytest.mark.parametrize("name", FORMATS[:2])
def test_pages_that_are_given_back_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(arrow, "_KEPT", 0)
    assert read_all(write(tmp_path / name, corpus(), ROWS)).texts[-1] == f"문서 {ROWS - 1}"


@pytest.mark.skipif(int(pa.__version__.split(".")[0]) < 18, reason="this pyarrow cannot cast views of strings")
def test_views_as_other_libraries_write_them_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "file", pa.table({"text": pa.array(["한", "a" * 40], pa.string_view())}))
    assert read_all(path).texts == ["한", "a" * 40]


def test_a_column_whose_name_is_not_utf_8_is_damage(tmp_path: Path) -> None:
    for name in FORMATS:
        path = write(tmp_path / name, pa.table({"text": ["a"], "name": ["b"]}))
        path.write_bytes(path.read_bytes().replace(b"name", b"n\xffme"))
        with pytest.raises(DataError, match="damaged or cut off"):
            read_all(path, Fields("body"))
