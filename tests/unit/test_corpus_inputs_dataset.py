"""What the library `datasets` loads: streamed by shards, every row once, its errors in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_inputs_world import portions_of, read_all

from megakor.corpus.inputs import dataset
from megakor.corpus.inputs.cutting import TaskSizes, cut, hash_portion
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.records import Fields
from megakor.errors import ConfigError, DataError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    dataset._load.cache_clear()


def make_dataset(directory: Path) -> Path:
    for shard in range(3):
        rows = [{"text": f"문서 {shard}.{row}", "n": row} for row in range(40)]
        (directory / f"train-{shard}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (directory / "validation.jsonl").write_text('{"text": null, "n": 0}\n{"text": "x", "n": 1}')
    return directory


@pytest.mark.usefixtures("offline")
def test_the_shards_of_a_dataset_are_portions_that_give_each_row_once(tmp_path: Path) -> None:
    name = f"hf:{make_dataset(tmp_path)}"
    portions = cut(0, list_inputs([name])[0], TaskSizes(1))
    assert [(portion.item_start, portion.item_stop) for portion in portions] == [(0, 1), (1, 2), (2, 3)]
    assert hash_portion(portions[0]) == []
    read = read_all(name, Fields(metadata=("n", "nothing")))
    assert read.texts == [f"문서 {shard}.{row}" for shard in range(3) for row in range(40)]
    assert read.positions == [(shard << 32) + row for shard in range(3) for row in range(40)]
    assert read.metadata == {"n": [*range(40)] * 3, "nothing": [None] * 120}


@pytest.mark.usefixtures("offline")
def test_more_shards_than_can_be_numbered_are_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"hf:{make_dataset(tmp_path)}"
    monkeypatch.setattr(dataset, "_MOST_SHARDS", 2)
    assert len(cut(0, list_inputs([name])[0], TaskSizes(1))) == 2
    assert len(set(read_all(name).texts)) == 120


@pytest.mark.usefixtures("offline")
def test_a_split_is_chosen_by_name_and_its_problems_are_told(tmp_path: Path) -> None:
    name = f"hf:{make_dataset(tmp_path)}::validation"
    read = read_all(name)
    assert read.texts == ["x"]
    assert read.problems[0].message.startswith(f"{name}, shard 0, row 0: ")
    with pytest.raises(DataError, match=r"Bad split: nope.*hf:NAME:CONFIGURATION:SPLIT"):
        read_all(f"hf:{tmp_path}::nope")
    with pytest.raises(DataError, match="no column 'body'"):
        read_all(name, Fields("body"))


@pytest.mark.usefixtures("offline")
def test_a_dataset_saved_to_disk_is_read_by_its_directory(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    texts = [f"문서 {row}" for row in range(100)]
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(tmp_path / "saved", num_shards=2)
    (tmp_path / "saved" / "cache-0123.arrow").write_bytes(b"left behind")
    files = list_inputs([tmp_path / "saved"])
    assert [file.name for file in files] == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert [text for file in files for text in read_all(file.path).texts] == texts
    Path(files[0].path).unlink()
    with pytest.raises(DataError, match=r"missing, though state\.json lists it"):
        list_inputs([tmp_path / "saved"])


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'megakor\[hf\]'"):
        cut(0, list_inputs(["hf:never/asked"])[0], TaskSizes(1))


@pytest.mark.usefixtures("offline")
def test_errors_advise_what_helps(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"written by save_to_disk.*give .*saved, without hf:"):
        read_all(f"hf:{tmp_path}/saved")
    with pytest.raises(DataError) as refused:
        read_all("hf:nobody/nothing")
    assert "write hf:" not in str(refused.value)


def test_a_task_is_named_by_file_and_part(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"x" * 2000)
    assert [portion.place for portion in portions_of(tmp_path / "a.jsonl", 1000)] == [
        f"{tmp_path}/a.jsonl, bytes 0 to 1,000",
        f"{tmp_path}/a.jsonl, bytes 1,000 to 2,000",
    ]
    (tmp_path / "a.jsonl.gz").write_bytes(b"x")
    assert [portion.place for portion in portions_of(tmp_path / "a.jsonl.gz")] == [f"{tmp_path}/a.jsonl.gz"]
    table = pa.table({"text": ["a"] * 4})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    assert portions_of(tmp_path / "a.parquet")[0].place == f"{tmp_path}/a.parquet, row groups 0 to 3"
