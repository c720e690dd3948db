"""No damage to any file of a shard goes unnoticed, and none of it ends in a traceback."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from damages import KINDS, damaged
from whole_shards import random_documents, write_whole_shard

from megakor.cli import main
from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.operations.stream import read_documents
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ExitCode, MegakorError

SUFFIXES = (".bin", ".idx", ".parquet", ".json")
CASES = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole_shard(tmp_path_factory.mktemp("whole") / "shard", random_documents(1, 60))


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    for suffix in SUFFIXES:
        shutil.copyfile(shard_file(whole, suffix), shard_file(tmp_path / "shard", suffix))
    return tmp_path / "shard"


def means_the_same(path: Path, before: bytes) -> bool:
    """Whether a file says what it said: spaces of a manifest mean nothing."""
    after = path.read_bytes()
    if path.suffix != ".json":
        return after == before
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        return False
    return all(new.get(key) == value for key, value in old.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_damage_is_reported_and_never_ends_in_a_traceback(copied: Path, suffix: str, kind: str) -> None:
    path = shard_file(copied, suffix)
    before = path.read_bytes()
    for seed in range(CASES):
        path.write_bytes(damaged(before, kind, random.Random(f"{kind} {suffix} {seed}")))
        found = verify_shard(copied, VerifyOptions()).findings
        assert found.count or means_the_same(path, before), seed
        assert all("\n" not in str(finding) for finding in found.kept)
        verify_shard(copied, VerifyOptions(quick=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_readers_meet_every_damage_with_a_sentence(copied: Path, suffix: str, kind: str) -> None:
    path = shard_file(copied, suffix)
    before = path.read_bytes()
    for seed in range(CASES):
        path.write_bytes(damaged(before, kind, random.Random(f"{kind} {suffix} {seed}")))
        try:
            shard = ShardReader(copied)
            shard.read(0, shard.tokens)
            starts = shard.boundaries(0, shard.tokens)
            assert np.all((starts > 0) & (starts < shard.tokens))
            shard.documents_between(0, shard.tokens)
            for batch in read_documents(copied):
                assert len(batch.lengths) == batch.metadata.num_rows
        except MegakorError as error:
            assert str(copied) in str(error)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_another_shard_is_reported(copied: Path, tmp_path: Path, suffix: str) -> None:
    lengths = [len(document) for document in random_documents(1, 60)]
    numbers = np.random.default_rng(2)
    same_lengths = [numbers.integers(0, 400, length).tolist() for length in lengths]
    for name, documents in (("other", random_documents(2, 60)), ("same", same_lengths)):
        other = write_whole_shard(tmp_path / name, documents)
        if shard_file(other, suffix).read_bytes() == shard_file(copied, suffix).read_bytes():
            continue  # lengths decide the index
        kept = shard_file(copied, suffix).read_bytes()
        shutil.copyfile(shard_file(other, suffix), shard_file(copied, suffix))
        assert verify_shard(copied, VerifyOptions()).findings.count
        shard_file(copied, suffix).write_bytes(kept)
    assert not verify_shard(copied, VerifyOptions()).findings.count


@pytest.fixture(scope="module")
def rows(whole: Path) -> Path:
    output = whole.parent / "rows"
    words = ["corpus", "regroup", str(whole), "--output", str(output), "--row-tokens", "64", "--pad-id", "1"]
    assert main(words) == ExitCode.DONE
    return output


@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_the_row_file_of_a_regrouped_shard_is_reported(rows: Path, kind: str) -> None:
    path = shard_file(rows, ".rows.arrow")
    before = path.read_bytes()
    assert not verify_shard(rows, VerifyOptions()).findings.kept
    try:
        for seed in range(CASES):
            path.write_bytes(damaged(before, kind, random.Random(f"{kind} rows {seed}")))
            assert verify_shard(rows, VerifyOptions()).findings.count or path.read_bytes() == before
            verify_shard(rows, VerifyOptions(quick=True))
    finally:
        path.write_bytes(before)
