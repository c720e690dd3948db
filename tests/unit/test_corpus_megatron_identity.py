"""Shards are byte for byte those of megatron-core for the same ids, and megatron-core reads them back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder

from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import ShardWriter, shard_file, token_dtype

VOCABULARIES = (2, 400, 65_499, 65_500, 65_536, 125_184)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_dtype_is_the_one_that_megatron_picks(vocabulary: int) -> None:
    assert token_dtype(vocabulary) == DType.optimal_dtype(vocabulary)


@settings(max_examples=40)
@given(data=st.data(), vocabulary=st.sampled_from(VOCABULARIES))
def test_any_documents_give_the_bytes_of_megatron_and_are_read_by_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, vocabulary: int
) -> None:
    ids = st.integers(0, vocabulary - 1) | st.just(vocabulary - 1)
    documents = data.draw(st.lists(st.lists(ids, max_size=12), max_size=12))
    folder = tmp_path_factory.mktemp("identity")
    ours, theirs = folder / "ours", folder / "theirs"
    with ShardWriter(ours, token_dtype(vocabulary)) as writer:
        cut = data.draw(st.integers(0, len(documents)))
        tokens = np.array([token for document in documents[:cut] for token in document], dtype=np.int64)
        writer.add_documents(tokens, np.array([len(document) for document in documents[:cut]], dtype=np.int64))
        for document in documents[cut:]:
            writer.add_document(document)
    builder = IndexedDatasetBuilder(str(shard_file(theirs, ".bin")), dtype=DType.optimal_dtype(vocabulary))
    for document in documents:
        builder.add_document(torch.tensor(document, dtype=torch.int64), [len(document)])
    builder.finalize(str(shard_file(theirs, ".idx")))
    for suffix in (".bin", ".idx"):
        assert shard_file(ours, suffix).read_bytes() == shard_file(theirs, suffix).read_bytes()
    assert not verify_shard(theirs, VerifyOptions()).findings.kept
    if any(documents):  # megatron-core cannot map an empty .bin
        read = IndexedDataset(str(ours))
        assert [read[number].tolist() for number in range(len(read))] == documents
        assert read.document_indices.tolist() == list(range(len(documents) + 1))


def test_a_shard_that_megatron_merged_is_whole_and_read_alike(tmp_path: Path) -> None:
    parts = []
    for number, documents in enumerate(([[[1, 2], [3]], [[4]]], [[[5, 6, 7]], [[8], [9, 10]]])):
        parts.append(tmp_path / f"part-{number}")
        builder = IndexedDatasetBuilder(str(shard_file(parts[-1], ".bin")), dtype=np.uint16)
        for sentences in documents:
            for sentence in sentences:
                builder.add_item(torch.tensor(sentence))
            builder.end_document()
        builder.finalize(str(shard_file(parts[-1], ".idx")))
    merged = tmp_path / "merged"
    builder = IndexedDatasetBuilder(str(shard_file(merged, ".bin")), dtype=np.uint16)
    for part in parts:
        builder.add_index(str(part))
    builder.finalize(str(shard_file(merged, ".idx")))
    report = verify_shard(merged, VerifyOptions())
    assert (report.findings.kept, report.documents, report.tokens) == ([], 4, 10)
    shard = ShardReader(merged)
    assert shard.read(0, 10).tolist() == list(range(1, 11))
    assert shard.boundaries(0, 10).tolist() == [3, 4, 7]
