"""Nothing wraps beyond 2^32 tokens, 2^31 documents or an index of many gigabytes.

The files are sparse, so that no disk is used. Megatron's own reader opens them too.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from megakor.corpus.build.runs import RegionWriter
from megakor.corpus.index_file import IndexFile, check_structure
from megakor.corpus.inspection.contents import check_contents, content_tasks
from megakor.corpus.inspection.findings import Findings
from megakor.corpus.inspection.statistics import measure
from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.operations.stream import cut_by_tokens, document_lengths
from megakor.corpus.shard import HEADER, ShardReader, bin_path, idx_path
from megakor.corpus.shard_writer import DTYPE_CODES, LONGEST_DOCUMENT, MAGIC, index_bytes, write_index
from megakor.errors import DataError

LONG = [LONGEST_DOCUMENT, LONGEST_DOCUMENT, 7, LONGEST_DOCUMENT, 0, 3]
LAST = [401, 402, 403]


@pytest.fixture(scope="module", params=["uint16", "int32"])
def long_shard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six documents of 6,442,450,951 tokens, all 0 but the last three and the seven in the middle."""
    prefix = tmp_path_factory.mktemp("long") / "shard"
    dtype = np.dtype(request.param)
    with idx_path(prefix).open("wb") as index:
        write_index(index, dtype, len(LONG), [np.array(LONG[:2], np.int32), np.array(LONG[2:], np.int32)])
    with bin_path(prefix).open("wb") as tokens:
        tokens.seek(sum(LONG[:2]) * dtype.itemsize)
        tokens.write(np.arange(1, 8, dtype=dtype).tobytes())
        tokens.seek(sum(LONG[:-1]) * dtype.itemsize)
        tokens.write(np.array(LAST, dtype=dtype).tobytes())
    return prefix


def test_a_reader_finds_tokens_and_documents_beyond_2_to_the_32(long_shard: Path) -> None:
    shard = ShardReader(long_shard)
    middle, last = sum(LONG[:2]), sum(LONG[:-1])
    assert shard.tokens == sum(LONG) > 2**32
    assert shard.read(middle, 8).tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    assert shard.read(last, 3).tolist() == LAST
    assert shard.read(np.int32(LONGEST_DOCUMENT), np.int32(1)).tolist() == [0]  # type: ignore[arg-type]
    assert shard.boundaries(0, shard.tokens).tolist() == [LONG[0], middle, middle + 7, last]
    assert shard.boundaries(middle - 1, middle + 1).tolist() == [middle]
    assert shard.documents_between(middle, shard.tokens) == 4


def test_the_bytes_are_those_that_megatron_reads(long_shard: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    dataset = indexed.IndexedDataset(str(long_shard))
    assert dataset.sequence_lengths.tolist() == LONG
    assert dataset[5].tolist() == LAST and dataset[2].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert dataset.get(3, offset=LONGEST_DOCUMENT - 2).tolist() == [0, 0]


def test_verify_and_stats_add_up_beyond_2_to_the_32(long_shard: Path) -> None:
    index, findings = IndexFile.open(long_shard), Findings()
    check_structure(index, findings)
    assert not findings.kept
    assert not verify_shard(long_shard, VerifyOptions(quick=True)).findings.kept
    statistics = measure([long_shard], duplicates=False)
    assert statistics.total.tokens == sum(LONG)
    assert statistics.lengths.quantiles([0.0, 0.5, 1.0]) == [0, 7, LONGEST_DOCUMENT]


def test_verify_reads_the_documents_at_the_end_of_a_long_shard(long_shard: Path) -> None:
    task = content_tasks(IndexFile.open(long_shard), True, True, False, vocabulary_size=402)[-1]
    result = check_contents(task)
    assert result.foreign == 1
    assert result.foreign_messages == ["document 5 has token id 402; the vocabulary ends at 401"]
    assert len(result.hashes) == task.last - task.first


def test_documents_stream_in_batches_that_do_not_wrap(long_shard: Path) -> None:
    (lengths,) = document_lengths(ShardReader(long_shard))
    assert lengths.dtype == np.int64 and lengths.tolist() == LONG
    assert list(cut_by_tokens(lengths, 4 << 20)) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6)]


def test_damaged_offsets_whose_difference_wraps_are_refused(tmp_path: Path) -> None:
    prefix = tmp_path / "shard"
    with idx_path(prefix).open("wb") as index:
        write_index(index, np.dtype(np.uint16), 6, [np.full(6, 2, np.int32)])
        index.seek(HEADER.size + 4 * 6 + 8 * 2)
        index.write(struct.pack("<qq", 6_642_501_795_348_513_137, -8_362_305_543_848_597_715))
    bin_path(prefix).write_bytes(bytes(24))
    with pytest.raises(DataError, match="out of order"):
        ShardReader(prefix).boundaries(0, 12)
    findings = Findings()
    check_structure(IndexFile.open(prefix), findings)
    assert {finding.message.split(" ends")[0] for finding in findings.kept} == {f"document {n}" for n in (1, 2, 3)}


def test_a_bucket_of_a_merge_is_written_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "training.bin"
    path.touch()
    with RegionWriter(path, 2**33 + 2) as region:
        region.write(b"\x07\x00")
    with path.open("rb") as file:
        file.seek(2**33)
        assert file.read() == b"\x00\x00\x07\x00"


DOCUMENTS = 2**31 + 1000
FULL = 10
"""Documents at the end that are not empty, of five tokens each."""


@pytest.fixture(scope="module")
def many_documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty documents, then FULL others. Those before stand at sequence 0, which a hole in the file says for them."""
    prefix = tmp_path_factory.mktemp("many") / "shard"
    empty = DOCUMENTS - FULL
    with idx_path(prefix).open("wb") as index:
        index.write(MAGIC + struct.pack("<QBQQ", 1, DTYPE_CODES["uint16"], DOCUMENTS, DOCUMENTS + 1))
        index.seek(HEADER.size + 4 * empty)
        index.write(np.full(FULL, 5, dtype=np.int32).tobytes())
        index.seek(HEADER.size + 4 * DOCUMENTS + 8 * empty)
        index.write((np.arange(FULL, dtype=np.int64) * 10).tobytes())
        index.seek(HEADER.size + 12 * DOCUMENTS + 8 * empty)
        index.write(np.arange(empty, DOCUMENTS + 1, dtype=np.int64).tobytes())
    bin_path(prefix).write_bytes(np.arange(5 * FULL, dtype=np.uint16).tobytes())
    return prefix


def test_an_index_of_more_than_2_to_the_31_documents_is_searched(many_documents: Path) -> None:
    assert idx_path(many_documents).stat().st_size == index_bytes(DOCUMENTS) > 40 << 30
    shard = ShardReader(many_documents)
    assert shard.documents == DOCUMENTS
    assert shard.boundaries(0, shard.tokens).tolist() == list(range(5, 50, 5))
    assert shard.boundaries(12, 21).tolist() == [15, 20]
    assert shard.documents_between(1, shard.tokens) == FULL - 1


def test_documents_behind_the_2_to_the_31st_are_found_by_number_and_by_token(many_documents: Path) -> None:
    index = IndexFile.open(many_documents)
    assert index.offsets(DOCUMENTS - 2, DOCUMENTS).tolist() == [40, 45, 50]
    assert index.document_at(DOCUMENTS - 3) == DOCUMENTS - 3
    assert index.first_document_at(36) == DOCUMENTS - 2
    assert index.bin_bytes == 100
    assert not verify_shard(many_documents, VerifyOptions(quick=True)).findings.kept


def test_megatron_reads_the_same_index(many_documents: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    dataset = indexed.IndexedDataset(str(many_documents))
    assert len(dataset) == DOCUMENTS
    assert dataset[DOCUMENTS - 1].tolist() == [45, 46, 47, 48, 49]
