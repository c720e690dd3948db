"""PREFIX.parquet as it is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from megakor.corpus.metadata import MetadataWriter, read_metadata

VALUES = [f"source {number % 7}" for number in range(1000)]


def written(prefix: Path, tables: list[pa.Table]) -> bytes:
    writer = MetadataWriter(prefix, tables[0].schema)
    for table in tables:
        writer.write(table)
    writer.finish()
    writer.publish()
    return writer.path.read_bytes()


def test_the_bytes_depend_on_the_rows_alone(tmp_path: Path) -> None:
    whole = pa.table({"source": pa.array(VALUES).dictionary_encode()})
    parts = [
        pa.table({"source": pa.array(VALUES[start : start + 93]).dictionary_encode()}) for start in range(0, 1000, 93)
    ]
    codes = pa.array([9 - int(value[-1]) for value in VALUES], pa.int32())
    backwards = pa.DictionaryArray.from_arrays(codes, pa.array([f"source {9 - number}" for number in range(10)]))
    files = [written(tmp_path / "a", [whole]), written(tmp_path / "b", parts)]
    files.append(written(tmp_path / "c", [pa.table({"source": backwards})]))
    assert files[0] == files[1] == files[2]
    rows = read_metadata(tmp_path / "c")
    assert rows is not None
    assert [row["source"] for batch in rows for row in batch.to_pylist()] == VALUES
