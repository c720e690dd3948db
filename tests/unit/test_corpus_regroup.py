"""Regrouped shards: rows, their side file, spans without loss, and options that cannot work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus_world import make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from regroup_world import (
    PAD,
    check_every_token_once,
    check_rows,
    documents_of,
    grouped,
    manifest,
    read_rows,
    write_shard,
)

from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.manifest import Count, read_manifest
from megakor.corpus.metadata import read_metadata
from megakor.corpus.row_file import ROWS_PER_BATCH, RowFile
from megakor.corpus.shard_writer import SHARD_SUFFIXES, shard_file
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.verbs.regroup import main
from megakor.errors import ConfigError, DataError, MegakorError, StorageError

ROW = 32


@given(st.lists(st.lists(st.integers(0, 3 * ROW), max_size=20), min_size=1, max_size=3), st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_every_token_of_every_document_appears_once_and_no_document_that_fits_is_cut(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[int]], seed: int
) -> None:
    lengths = [length for shard in shards for length in shard]
    if not sum(lengths):
        return
    directory = tmp_path_factory.mktemp("regroup")
    documents = documents_of(lengths)
    inputs, first = [], 0
    for number, shard in enumerate(shards):
        inputs.append(write_shard(directory / f"in{number}", documents[first : first + len(shard)]))
        first += len(shard)
    done = grouped(inputs, directory / "out", row_tokens=ROW, seed=seed, window_tokens=8 * ROW)
    rows = read_rows(directory / "out")
    check_rows(rows)
    check_every_token_once(rows, documents)
    assert all(np.array_equal(row.segment_starts, row.document_starts) for row, _ in rows)
    assert done.rows.continued == sum(-(-length // ROW) - 1 for length in lengths if length)


def test_the_manifest_counts_real_tokens_and_padding_apart(tmp_path: Path) -> None:
    write_shard(
        tmp_path / "in", documents_of([30, 20, 70, 0]), origin=manifest(text_bytes=500, documents=4, tokens=120)
    )
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=ROW)
    found = read_manifest(tmp_path / "out")
    assert found is not None
    rows = found.documents
    assert (found.tokens, found.padding_tokens) == (120, rows * ROW - 120)
    assert found.bin_bytes == (tmp_path / "out.bin").stat().st_size == rows * ROW * 2
    assert (found.language, found.text_bytes, found.role) == ("ko", 500, "training")
    assert found.counts["language of documents"]["ko"] == Count(3, 120, None)
    assert [operation["name"] for operation in found.operations] == ["test", "regroup"]
    assert found.operations[-1]["options"]["row_tokens"] == ROW
    metadata = read_metadata(tmp_path / "out")
    assert metadata is not None
    assert sum(batch.num_rows for batch in metadata) == rows


def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of(np.random.default_rng(1).integers(1, 80, 300).tolist()))

    def made(name: str, seed: int) -> list[bytes]:
        (tmp_path / name).mkdir()
        prefix = tmp_path / name / "out"
        grouped([tmp_path / "in"], prefix, row_tokens=ROW, seed=seed, window_tokens=20 * ROW)
        return [shard_file(prefix, suffix).read_bytes() for suffix in SHARD_SUFFIXES]

    assert made("a", 1) == made("b", 1)
    assert made("c", 2)[-1] != made("a2", 1)[-1]


@pytest.mark.parametrize(
    ("loss_off", "spans"),
    [
        ("prefix", [[0, 4], [20, 32]]),
        ("suffix", [[16, 19], [20, 32]]),
        ("both", [[0, 4], [16, 19], [20, 32]]),
        ("none", [[20, 32]]),
    ],
)
def test_conditioning_text_is_marked_and_the_end_of_document_token_is_not(
    tmp_path: Path, loss_off: str, spans: list[list[int]]
) -> None:
    write_shard(tmp_path / "in", documents_of([20]), prefix_tokens=[4], suffix_tokens=[3])
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=ROW, loss_off=loss_off)
    [(row, _)] = read_rows(tmp_path / "out")
    assert row.loss_off.tolist() == spans


def test_marked_text_follows_a_document_that_is_cut(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([72]), prefix_tokens=[34], suffix_tokens=[10])
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=ROW, loss_off="both")
    spans = {
        int(row.offsets[0]): [span.tolist() for span in row.loss_off if span[0] < row.tokens]
        for row, _ in read_rows(tmp_path / "out")
    }
    assert spans == {0: [[0, 32]], 32: [[0, 2], [29, 32]], 64: [[0, 7]]}


def test_a_null_length_of_conditioning_marks_nothing(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([20, 5]), prefix_tokens=[None, 2], suffix_tokens=[0, None])
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=ROW, loss_off="both")
    [(row, _)] = read_rows(tmp_path / "out")
    start = int(row.document_starts[row.documents.tolist().index(1)])
    assert row.loss_off.tolist() == [[start, start + 2], [25, 32]]


def test_any_row_is_found_over_many_record_batches(tmp_path: Path) -> None:
    count = 2 * ROWS_PER_BATCH + 5
    documents = documents_of([3] * count)
    write_shard(tmp_path / "in", documents)
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=3)
    rows = RowFile(tmp_path / "out")
    assert len(rows) == count
    tokens = np.fromfile(tmp_path / "out.bin", np.uint16).reshape(-1, 3)
    for number in (count - 1, 0, ROWS_PER_BATCH, ROWS_PER_BATCH - 1):
        assert np.array_equal(tokens[number], documents[int(rows.row(number).documents[0])])
    with pytest.raises(IndexError):
        rows.row(count)


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "empty"])
def test_a_damaged_row_file_is_refused_in_words(tmp_path: Path, damage: str) -> None:
    write_shard(tmp_path / "in", documents_of([3] * 10))
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=3)
    path = tmp_path / "out.rows.arrow"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "other": b"some text" * 50, "empty": b""}[damage])
    with pytest.raises(DataError, match=r"out\.rows\.arrow"):
        RowFile(tmp_path / "out")


def test_random_damage_of_a_row_file_never_gives_a_traceback(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([3] * 20))
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=8)
    path = tmp_path / "out.rows.arrow"
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            rows = RowFile(tmp_path / "out")
            for number in range(min(len(rows), 20)):
                rows.row(number)
        except DataError:
            continue


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"row_tokens": 0}, "--row-tokens 0"),
        ({"row_tokens": 64, "window_tokens": 32}, "--window-tokens 32 is less than a row"),
        ({"mode": "worst-fit"}, "--mode worst-fit"),
        ({"loss_off": "all"}, "--loss-off all"),
        ({"pad_id": 1000}, "--pad-id 1000: the ids of these shards are 0 to 999"),
        ({"pad_id": -1}, "--pad-id -1"),
        ({"pair_field": "id"}, "belong to --mode cross-lingual"),
        ({"longest_document": 9}, "belong to --mode cross-lingual"),
    ],
)
def test_options_that_cannot_work_are_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    write_shard(tmp_path / "in", documents_of([5]))
    with pytest.raises(ConfigError) as caught:
        grouped([tmp_path / "in"], tmp_path / "out", **options)
    assert said in str(caught.value)
    assert not list(tmp_path.glob("out*"))


def test_shards_without_a_token_give_no_output(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([0, 0]))
    with pytest.raises(DataError, match="no token to regroup"):
        grouped([tmp_path / "in"], tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_a_regrouped_shard_verifies_and_a_changed_row_file_does_not(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([5, 40, 17]), ["ko", "en", "ko"])
    grouped([tmp_path / "in"], tmp_path / "out", row_tokens=ROW)
    assert verify_shard(tmp_path / "out", VerifyOptions()).findings.count == 0
    path = tmp_path / "out.rows.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert "rows.arrow" in str(verify_shard(tmp_path / "out", VerifyOptions()).findings.kept[0])


def test_rows_are_not_regrouped_again(tmp_path: Path) -> None:
    write_shard(tmp_path / "in", documents_of([5]))
    grouped([tmp_path / "in"], tmp_path / "out")
    with pytest.raises(DataError, match="packed into rows already"):
        grouped([tmp_path / "out"], tmp_path / "again")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shard(tmp_path / "in", documents_of([5] * 20))

    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("megakor.corpus.row_file.RowFileWriter.finish", full)
    with pytest.raises(StorageError):
        grouped([tmp_path / "in"], tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_the_command_packs_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = documents_of([5, 40, 17])
    prefix = write_shard(tmp_path / "in", documents)
    command = [str(prefix), "--row-tokens", str(ROW), "--output", str(tmp_path / "out"), "--pad-id", str(PAD)]
    assert main(command) == 0
    check_every_token_once(read_rows(tmp_path / "out"), documents)
    assert "rows of 32 tokens with 3 documents" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--overwrite"):
        main([*command, "--seed", "5"])
    assert main([*command, "--overwrite"]) == 0


def test_the_command_packs_validation_shards_too(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", documents_of([5, 40]))
    command = [str(prefix), "--output", str(tmp_path / "out"), "--pad-id", str(PAD), "--with-validation"]
    with pytest.raises(ConfigError, match="has a validation shard"):
        main(command)
    assert not list(tmp_path.glob("*out*"))
    write_shard(tmp_path / "in.validation", documents_of([7]), origin=manifest(role="validation"))
    assert main(command) == 0
    found = read_manifest(tmp_path / "out.validation")
    assert found is not None
    assert (found.role, found.tokens) == ("validation", 7)
    with pytest.raises(DataError, match="keep them apart"):
        grouped([prefix, tmp_path / "in.validation"], tmp_path / "mixed")


def test_the_command_takes_the_padding_of_the_tokenizer_of_the_shards(tmp_path: Path) -> None:
    directory = make_tokenizer(tmp_path)
    tokenizer = Tokenizer.load(directory)
    origin = manifest(tokenizer_sha256=tokenizer.sha256, vocabulary_size=tokenizer.vocabulary_size)
    documents = [document % 300 for document in documents_of([5])]
    prefix = write_shard(tmp_path / "in", documents, origin=origin)
    command = [str(prefix), "--output", str(tmp_path / "out"), "--row-tokens", "8", "--tokenizer", str(directory)]
    assert main(command) == 0
    assert np.fromfile(tmp_path / "out.bin", np.uint16)[5:].tolist() == [tokenizer.token_id("<|pad|>")] * 3
    other = write_shard(tmp_path / "other", documents)
    with pytest.raises(ConfigError, match="other was made with tokenizer aaaaaaaaaaaa"):
        main([str(other), *command[1:], "--overwrite"])


def test_amounts_of_tokens_are_written_as_in_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = write_shard(tmp_path / "in", documents_of([5]))
    command = [str(prefix), "--output", str(tmp_path / "out"), "--pad-id", str(PAD)]
    assert main([*command, "--row-tokens", "2Ki", "--window-tokens", "1M"]) == 0
    found = read_manifest(tmp_path / "out")
    assert found is not None
    assert [found.operations[-1]["options"][name] for name in ("row_tokens", "window_tokens")] == [2048, 1_000_000]
    with pytest.raises(SystemExit):
        main([*command, "--row-tokens", "4kb"])
    assert "unknown unit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [["--alpha", "1"], ["--rho", "0.2"], ["--beta", "ko=1"], ["--pair-field", "id"], ["--longest-document", "8"]],
)
def test_options_of_the_other_mode_are_refused(tmp_path: Path, option: list[str]) -> None:
    prefix = write_shard(tmp_path / "in", documents_of([5]))
    with pytest.raises(ConfigError, match=f"{option[0]}: only for --mode cross-lingual"):
        main([str(prefix), "--output", str(tmp_path / "out"), "--pad-id", str(PAD), *option])


def test_the_command_asks_for_a_token_of_padding(tmp_path: Path) -> None:
    prefix = write_shard(tmp_path / "in", documents_of([5]))
    with pytest.raises(MegakorError, match="--tokenizer DIRECTORY or --pad-id"):
        main([str(prefix), "--output", str(tmp_path / "out")])
