"""`megakor corpus verify` names the document, says what it could not check, and ends with 65."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from corpus_world import make_tokenizer
from whole_shards import random_documents, write_whole_shard

from megakor.cli import main
from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection import token_check
from megakor.corpus.inspection.contents import content_tasks
from megakor.corpus.inspection.manifest_check import KnownTokenizer
from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.shard import HEADER
from megakor.corpus.shard_writer import ShardWriter, shard_file
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ExitCode


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_whole_shard(tmp_path / "ko", random_documents(1, 60))


def messages(prefix: Path, **options: object) -> list[str]:
    return [str(finding) for finding in verify_shard(prefix, VerifyOptions(**options)).findings.kept]  # type: ignore[arg-type]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def starts() -> np.ndarray:
    return np.concatenate(([0], np.cumsum([len(document) for document in random_documents(1, 60)])))


def test_a_whole_shard_has_no_findings_and_nothing_is_left_unchecked(shard: Path) -> None:
    report = verify_shard(shard, VerifyOptions())
    assert (report.findings.count, report.unchecked) == (0, [])
    assert (report.documents, report.tokens) == (60, starts()[-1])


def test_a_changed_token_is_told_with_its_document(shard: Path) -> None:
    overwrite(shard_file(shard, ".bin"), 2 * int(starts()[17]) + 2, b"\x55\x00")
    assert any("ko.bin: document 17: its tokens are not those" in message for message in messages(shard))


def test_an_id_outside_the_vocabulary_is_told_with_its_document(shard: Path) -> None:
    overwrite(shard_file(shard, ".bin"), 2 * int(starts()[30]), b"\xff\xff")
    assert any("document 30 has token id 65,535; the vocabulary ends at 399" in message for message in messages(shard))


def test_a_truncated_bin_is_told_with_the_document_it_is_cut_in(shard: Path) -> None:
    path = shard_file(shard, ".bin")
    path.write_bytes(path.read_bytes()[: 2 * int(starts()[40]) + 2])
    assert any("it is cut off in document 40 of 60" in message for message in messages(shard, quick=True))


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (HEADER.size + 4 * 12, struct.pack("<i", -3), "document 12 has a length of -3 tokens"),
        (HEADER.size + 4 * 12, struct.pack("<i", 99_999), "document 12 ends at byte"),
        (HEADER.size + 4 * 60 + 8 * 9, struct.pack("<q", 3), "document 9 ends at byte"),
        (HEADER.size + 12 * 60 + 8 * 7, struct.pack("<q", 1 << 40), "document 7 begins at sequence"),
        (HEADER.size + 12 * 60, struct.pack("<q", 5), "document 0 begins at sequence 5"),
    ],
)
def test_a_damaged_index_is_told_with_the_document(shard: Path, offset: int, value: bytes, words: str) -> None:
    overwrite(shard_file(shard, ".idx"), offset, value)
    assert any(words in message for message in messages(shard)), messages(shard)


def test_a_tokenizer_that_is_not_the_shards_is_told(shard: Path) -> None:
    other = KnownTokenizer("tok/", "cd" * 32, 500)
    assert any("made with another tokenizer" in message for message in messages(shard, tokenizer=other, quick=True))
    same = KnownTokenizer("tok/", "ab" * 32, 400)
    assert messages(shard, tokenizer=same) == []


@pytest.mark.parametrize("field", ["documents", "tokens", "bin_bytes", "idx_bytes", "text_bytes"])
def test_a_manifest_that_miscounts_is_told(shard: Path, field: str) -> None:
    path = shard_file(shard, ".json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, field: record[field] + 1}))
    found = messages(shard)
    assert any(f"{record[field] + 1:,}" in message for message in found)
    assert any("changed after it was written" in message for message in found)


def test_a_manifest_without_its_digest_is_damaged_where_every_other_checksum_stands(shard: Path) -> None:
    path = shard_file(shard, ".json")
    record = json.loads(path.read_text())
    del record["manifest_sha256"]
    path.write_text(json.dumps(record))
    assert [str(path) in message and "lost its digest" in message for message in messages(shard)] == [True]
    path.write_text(json.dumps({**record, "checksums": {}}))  # as manifests were written before there were any
    assert messages(shard) == []


def test_counts_of_a_language_are_added_up_again(shard: Path) -> None:
    path = shard_file(shard, ".json")
    record = json.loads(path.read_text())
    record["counts"]["language"]["ko"]["documents"] -= 1
    record["counts"]["language"]["jp"] = record["counts"]["language"]["ko"]
    path.write_text(json.dumps(record))
    assert any("says language 'ko' has 39 documents" in message for message in messages(shard))
    assert any("says language 'jp'" in message and "has none" in message for message in messages(shard))


def test_a_shard_of_megatron_is_checked_as_far_as_it_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ShardWriter(tmp_path / "plain", np.dtype(np.uint16)) as writer:
        writer.add_document([1, 2, 3])
    assert main(["corpus", "verify", str(tmp_path / "plain")]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "plain: whole" in text and "not checked: single documents, because there is no metadata" in text


def test_metadata_without_checksums_is_said(shard: Path) -> None:
    path = shard_file(shard, ".parquet")
    pq.write_table(pq.read_table(path).drop_columns(["crc32"]), path)
    report = verify_shard(shard, VerifyOptions())
    assert "single documents, because the metadata has no column crc32" in report.unchecked
    assert [str(finding.path) for finding in report.findings.kept] == [str(path)]  # its own checksum


def test_small_tasks_find_what_one_task_finds(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = write_whole_shard(shard.parent / "long", random_documents(3, 300, longest=400))
    overwrite(shard_file(longer, ".bin"), 70_000, b"\x01\x02\x03\x04")
    index = IndexFile.open(longer)
    one = messages(longer)
    monkeypatch.setattr("megakor.corpus.inspection.contents.HASH_PIECE", 512)
    monkeypatch.setattr("megakor.corpus.inspection.contents._PIECES_A_TASK", 1)
    tasks = content_tasks(index, False, True, True, 400)
    assert len(tasks) > 100
    results = list(token_check._results(tasks, 1))
    assert sum(result.documents for result in results) == 300
    found = [message for result in results for message in [*result.foreign_messages, *result.changed_messages]]
    assert sorted(found) == sorted(message.split(": ", 1)[1] for message in one if ": document" in message)


def test_processes_find_what_one_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = write_whole_shard(tmp_path / "long", random_documents(4, 80, longest=60_000))
    monkeypatch.setattr("megakor.corpus.inspection.contents._PIECES_A_TASK", 1)
    monkeypatch.setattr("megakor.corpus.inspection.token_check._WORTH_PROCESSES", 0)
    assert len(content_tasks(IndexFile.open(prefix), True, True, True, 400)) > 1
    overwrite(shard_file(prefix, ".bin"), (4 << 20) + 2_000, b"\x01\x02\x03\x04")
    assert messages(prefix, workers=2) == messages(prefix, workers=1) != []


def test_a_document_longer_than_a_batch_is_read_in_stretches(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("megakor.corpus.inspection.contents._BATCH_BYTES", 16)
    assert messages(shard) == []
    overwrite(shard_file(shard, ".bin"), 2 * int(starts()[18]) - 2, b"\xff\xff")
    found = messages(shard)
    assert any("document 17 has token id 65,535" in message for message in found)
    assert any("document 17: its tokens" in message for message in found)


def test_the_verb_checks_a_directory_and_ends_with_65(shard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_whole_shard(shard.parent / "deeper" / "en.v2", random_documents(2, 5))
    words = ["corpus", "verify", str(shard.parent), f"{shard}.idx"]
    assert main(words) == ExitCode.DONE
    assert capsys.readouterr().out.count(": whole") == 2
    shard_file(shard, ".bin").write_bytes(b"\xff" * shard_file(shard, ".bin").stat().st_size)
    assert main([*words, "--findings", "3"]) == ExitCode.DATA
    text = capsys.readouterr().out
    assert "ko: DAMAGED" in text and "en.v2: whole" in text and "more (--findings shows more)" in text
    assert len(text.splitlines()) == 1 + 3 + 1 + 1
    assert main([*words, "--json"]) == ExitCode.DATA
    assert [record["damaged"] for record in json.loads(capsys.readouterr().out)] == [False, True]


def test_a_missing_shard_is_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "verify", str(tmp_path / "none")]) == ExitCode.DATA
    assert "none.idx: is missing" in capsys.readouterr().out
    assert main(["corpus", "verify", str(tmp_path)]) == ExitCode.DATA
    assert "no shard" in capsys.readouterr().err


def test_the_tokenizer_on_the_command_line_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_tokenizer(tmp_path)
    tokenizer = Tokenizer.load(path)
    right = write_whole_shard(tmp_path / "right", random_documents(1, 5), tokenizer.sha256)
    wrong = write_whole_shard(tmp_path / "wrong", random_documents(1, 5))
    assert main(["corpus", "verify", str(right), "--tokenizer", str(path)]) == ExitCode.DONE
    capsys.readouterr()
    assert main(["corpus", "verify", str(wrong), "--tokenizer", str(path)]) == ExitCode.DATA
    text = capsys.readouterr().out
    assert "wrong: OTHER TOKENIZER, else whole (5 documents" in text and "another tokenizer" in text
    assert main(["corpus", "verify", str(wrong), "--tokenizer", str(path), "--json"]) == ExitCode.DATA
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["damaged"], record["other_tokenizer"]) == (False, True)
    shard_file(wrong, ".bin").write_bytes(b"\xff" * shard_file(wrong, ".bin").stat().st_size)
    assert main(["corpus", "verify", str(wrong), "--tokenizer", str(path)]) == ExitCode.DATA
    assert "wrong: DAMAGED" in capsys.readouterr().out


def test_a_smaller_vocabulary_of_another_tokenizer_is_no_damage(shard: Path) -> None:
    found = messages(shard, tokenizer=KnownTokenizer("tok/", "cd" * 32, 20))
    assert len(found) == 1 and "made with another tokenizer" in found[0]
