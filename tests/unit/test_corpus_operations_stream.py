"""Reading a shard as batches of documents."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from operation_worlds import random_documents, read_shard, write_shard

from megakor.corpus.metadata import COLUMNS, MetadataWriter
from megakor.corpus.operations.stream import checksums, cut_by_tokens, document_lengths, read_documents
from megakor.corpus.shard import HEADER, ShardReader
from megakor.corpus.shard_writer import MAGIC
from megakor.errors import DataError


@pytest.mark.parametrize("batch_tokens", [1, 7, 10_000])
def test_every_document_comes_once_with_its_row(tmp_path: Path, batch_tokens: int) -> None:
    documents = [[], *random_documents(40), [], []]
    prefix = write_shard(tmp_path / "ko", documents, {"quality": list(range(43))})
    found = []
    for batch in read_documents(prefix, batch_tokens):
        assert batch.documents == batch.metadata.num_rows
        assert len(batch.tokens) <= batch_tokens or batch.documents == 1
        found += [
            (batch.document(number).tolist(), row["quality"]) for number, row in enumerate(batch.metadata.to_pylist())
        ]
    assert found == list(zip(documents, range(43), strict=True))


def test_a_shard_without_metadata_gets_what_is_known(tmp_path: Path) -> None:
    documents = random_documents(5)
    prefix = write_shard(tmp_path / "plain", documents, with_metadata=False, language="en")
    rows = [row for _, row in read_shard(prefix)]
    assert [row["position"] for row in rows] == [0, 1, 2, 3, 4]
    assert {(row["source"], row["language"], row["text_bytes"]) for row in rows} == {("plain", "en", None)}
    assert [row["crc32"] for row in rows] == [zlib.crc32(np.array(ids, np.uint16).tobytes()) for ids in documents]


def test_plain_strings_become_the_columns_of_a_build(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "ko", [[1, 0], [2, 0]], with_metadata=False)
    table = pa.table({"language": ["ko", "en"], "quality": [1, None]})
    metadata = MetadataWriter(prefix, table.schema)
    metadata.write(table)
    metadata.finish()
    metadata.publish()
    (batch,) = read_documents(prefix)
    assert batch.metadata.schema.names == [*COLUMNS.names, "quality"]
    assert batch.metadata.schema.field("language").type == COLUMNS.field("language").type
    assert [row["language"] for row in batch.metadata.to_pylist()] == ["ko", "en"]
    assert [row["crc32"] for row in batch.metadata.to_pylist()] == checksums(batch.tokens, batch.lengths).tolist()


def write_index(path: Path, lengths: list[int], documents: list[int]) -> None:
    pointers = (np.cumsum([0, *lengths[:-1]]) * 2).astype("<i8")
    head = HEADER.pack(MAGIC, 1, 8, len(lengths), len(documents))
    path.write_bytes(
        head + struct.pack(f"<{len(lengths)}i", *lengths) + pointers.tobytes() + np.array(documents, "<i8").tobytes()
    )


def test_a_document_of_several_sequences_is_one_document(tmp_path: Path) -> None:
    write_index(tmp_path / "m.idx", [2, 3, 1, 4], [0, 2, 2, 4])
    np.arange(10, dtype=np.uint16).tofile(tmp_path / "m.bin")
    assert [list(ids) for ids, _ in read_shard(tmp_path / "m")] == [[0, 1, 2, 3, 4], [], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize(
    ("lengths", "documents"), [([9, -3, 4], [0, 1, 2, 3]), ([8, 3, 4], [0, 1, 2, 3]), ([3, 3, 4], [0, 2, 1, 3])]
)
def test_an_index_that_does_not_add_up_is_refused(tmp_path: Path, lengths: list[int], documents: list[int]) -> None:
    write_index(tmp_path / "m.idx", [3, 3, 4], [0, 1, 2, 3])
    np.arange(10, dtype=np.uint16).tofile(tmp_path / "m.bin")
    shard = ShardReader(tmp_path / "m")
    write_index(tmp_path / "m.idx", lengths, documents)
    with pytest.raises(DataError, match=r"m\.idx"):
        list(document_lengths(shard))


def test_metadata_of_another_shard_are_refused(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "ko", random_documents(5))
    write_shard(tmp_path / "other", random_documents(6))
    (tmp_path / "other.bin").replace(tmp_path / "ko.bin")
    (tmp_path / "other.idx").replace(tmp_path / "ko.idx")
    with pytest.raises(DataError, match="5 rows and the shard 6 documents"):
        next(read_documents(prefix))


def test_cuts_cover_all_documents_in_order() -> None:
    lengths = np.array([5, 1, 1, 0, 9, 2, 0], np.int64)
    assert list(cut_by_tokens(lengths, 4)) == [(0, 1), (1, 4), (4, 5), (5, 7)]
    assert list(cut_by_tokens(np.array([], np.int64), 4)) == []
