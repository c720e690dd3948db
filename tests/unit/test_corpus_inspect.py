"""`megakor corpus inspect` shows the very tokens, the bytes of broken characters, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from corpus_world import make_tokenizer, small_texts
from hypothesis import given
from hypothesis import strategies as st
from whole_shards import write_whole_shard

from megakor.cli import main
from megakor.corpus.fields.expression import parse
from megakor.corpus.inspection.choosing import drawn, matching
from megakor.corpus.inspection.rendering import SEPARATOR, rendered, visible
from megakor.corpus.inspection.token_pieces import Kind, token_pieces
from megakor.corpus.operations.stream import document_lengths
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import ShardWriter, shard_file
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ExitCode

TEXTS = [*small_texts(8), "쀍쀍 emoji 🦑 end", "a\tb\x1b[31mred\u202e\u3000."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    tokenizer = Tokenizer.load(make_tokenizer(folder))
    documents = [[*tokenizer.encode(text), tokenizer.eod_id] for text in TEXTS]
    write_whole_shard(folder / "shards" / "ko", documents, tokenizer.sha256)
    return folder


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "tokenizer")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["corpus", "inspect", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_pieces_hold_every_byte_of_every_token_in_order(folder: Path, content: str | bytes) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer")
    contents = tokenizer.contents()
    if isinstance(content, bytes):  # ids that no text has: broken characters
        single = {bytes_: number for number, bytes_ in enumerate(contents) if len(bytes_) == 1}
        ids = [single[bytes([byte])] for byte in content]
    else:
        ids = tokenizer.encode(content)
    pieces = list(token_pieces(ids, tokenizer, contents))
    kept = b"".join(piece.text.encode() if piece.kind is Kind.TEXT else b"".join(piece.tokens) for piece in pieces)
    assert kept == b"".join(contents[token_id] for token_id in ids)
    if isinstance(content, str):
        assert all(piece.kind in (Kind.TEXT, Kind.SPLIT) for piece in pieces)
        assert "".join(piece.text for piece in pieces) == content


def test_a_character_of_several_tokens_is_shown_once_with_its_bytes(tokenizer: Tokenizer) -> None:
    contents = tokenizer.contents()
    single = {content: number for number, content in enumerate(contents) if len(content) == 1}
    ids = [single[bytes([byte])] for byte in "쀍".encode()]
    assert rendered(token_pieces(ids, tokenizer, contents), colour=False) == "‹쀍 = ec│80│8d›"
    assert rendered(token_pieces(ids[:2], tokenizer, contents), colour=False) == "‹ec›│‹80›"
    assert rendered(token_pieces([*ids[:2], single[b"x"]], tokenizer, contents), colour=False) == "‹ec›│‹80›│x"


def test_special_tokens_and_unknown_ids_are_told_apart_from_text(tokenizer: Tokenizer) -> None:
    ids = [*tokenizer.encode("<|endoftext|>"), tokenizer.eod_id, tokenizer.vocabulary_size, 60_000]
    text = rendered(token_pieces(ids, tokenizer, tokenizer.contents()), colour=False)
    assert text.endswith(f"│‹<|endoftext|>›│‹id {tokenizer.vocabulary_size}›│‹id 60000›")
    assert not text.startswith("‹")


@given(st.text())
def test_shown_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in visible(text))


def test_documents_are_shown_with_boundaries_metadata_and_ids(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, errors = run(capsys, str(folder / "shards" / "ko"), "--document", "3", "--document", "-1", "--ids")
    assert code == ExitCode.DONE
    assert "tokenizer.json (its hash is the shard's)" in errors
    assert "--- document 3:" in text and "--- document 9:" in text
    assert "source=part-1.jsonl  language=en" in text and "ids: " in text
    assert f"{SEPARATOR}‹<|endoftext|>›" in text and "\\x1b" in text and "\x1b" not in text and "⇥" in text
    shown = text.split("ids: ")[1].split("\n", 1)[1].split("\n\n")[0]
    assert shown.replace(SEPARATOR, "").replace("⏎", "") == f"{TEXTS[3]}‹<|endoftext|>›"


def test_colours_are_for_terminals_and_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, str(folder / "shards" / "ko"), "--color", "always", "--limit", "1")
    assert "\x1b[30;48;5;" in text and SEPARATOR not in text


def test_long_documents_are_cut_and_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, str(folder / "shards" / "ko"), "--document", "0", "--tokens", "2")
    assert "more tokens (--tokens 0 shows all)" in text
    _, text, _ = run(capsys, str(folder / "shards" / "ko"), "--document", "0", "--tokens", "0")
    assert "more tokens" not in text


def test_without_the_tokenizer_ids_are_shown_and_the_hash_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "far" / "away"
    shutil.copytree(folder / "shards", place)
    monkeypatch.chdir(tmp_path)
    code, text, errors = run(capsys, str(place / "ko"))
    assert code == ExitCode.DONE and "ids: " in text and "no tokenizer with SHA-256" in errors
    code, text, _ = run(capsys, str(place / "ko"), "--tokenizer", str(folder / "tokenizer"))
    assert code == ExitCode.DONE and "ids: " not in text


def test_another_tokenizer_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_tokenizer(tmp_path, 390)
    code, _, errors = run(capsys, str(folder / "shards" / "ko"), "--tokenizer", str(other))
    assert code == ExitCode.DATA and "its text would be wrong" in errors


def test_documents_are_chosen_by_chance_and_by_condition(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = folder / "shards" / "ko"
    assert drawn(1000, 5, 1) == drawn(1000, 5, 1) != drawn(1000, 5, 2)
    assert drawn(3, 5, 1) == [0, 1, 2]
    condition = parse("quality >= 1 and language == 'ko'")
    wanted = [number for number in range(len(TEXTS)) if number % 5 >= 1 and number % 3]
    assert matching(prefix, condition, 100, None) == wanted
    assert matching(prefix, condition, 2, None) == wanted[:2]
    lengths = ShardReader(prefix)
    long = [n for n, length in enumerate(np.concatenate(list(document_lengths(lengths)))) if length > 20]
    assert 0 < len(long) < len(TEXTS)
    assert matching(prefix, parse("tokens > 20"), 100, None) == long
    several = [matching(prefix, condition, 2, seed) for seed in range(20)]
    assert all(set(some) <= set(wanted) and len(some) == 2 for some in several)
    assert len({tuple(some) for some in several}) > 1
    _, text, _ = run(capsys, str(prefix), "--where", "quality == 3", "--json", "--random", "1")
    record = json.loads(text)
    assert record["metadata"]["quality"] == 3 and record["text"] == TEXTS[record["number"]] + "<|endoftext|>"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--document", "10"], "has documents 0 to 9"),
        (["--document", "1", "--random", "2"], "leave out --where and --random"),
        (["--random", "-2"], "at least 0"),
        (["--where", "nothing == 1"], "there are: source, language, position, text_bytes, crc32, quality"),
        (["--where", "quality >"], "quality >"),
    ],
)
def test_wrong_choices_are_refused_in_words(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    code, _, errors = run(capsys, str(folder / "shards" / "ko"), *words)
    assert code == ExitCode.USAGE and sentence in errors


def test_a_directory_of_several_shards_is_refused_with_their_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "shards", tmp_path / "shards")
    assert run(capsys, str(tmp_path / "shards"))[0] == ExitCode.DONE
    write_whole_shard(tmp_path / "shards" / "en", [[1, 2]])
    code, _, errors = run(capsys, str(tmp_path / "shards"))
    assert code == ExitCode.USAGE
    assert f"2 shards; name one of them: {tmp_path / 'shards' / 'en'}, {tmp_path / 'shards' / 'ko'}" in errors


def test_a_shard_of_megatron_is_shown_with_a_tokenizer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer")
    with ShardWriter(folder / "plain", np.dtype(np.uint16)) as writer:
        writer.add_document(tokenizer.encode("문서 하나"))
        writer.add_document([])
    code, text, errors = run(capsys, str(folder / "plain"))
    assert code == ExitCode.DONE and "no manifest names the tokenizer" in errors and "ids:" in text
    code, text, _ = run(capsys, str(folder / "plain"), "--tokenizer", str(folder / "tokenizer"))
    assert code == ExitCode.DONE and "document 1: 0 tokens" in text
    assert not shard_file(folder / "plain", ".json").exists()
    assert run(capsys, str(folder / "plain"), "--where", "quality > 1")[0] == ExitCode.USAGE
