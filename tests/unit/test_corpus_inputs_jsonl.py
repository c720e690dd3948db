"""JSON Lines: every line once however the file is cut, bad lines named with file and line, with orjson and without."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import sys
from pathlib import Path

import pytest
from corpus_inputs_world import read_all
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.corpus.inputs import chunks, lines
from megakor.corpus.inputs.cutting import TaskSizes, cut
from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.reading import read_portion
from megakor.corpus.inputs.records import Fields
from megakor.errors import DataError

BAD_LINES = {
    b'{"text": "a"': ("json", "not valid JSON"),
    b"[" * 100_000: ("json", "not valid JSON"),
    b'"text"': ("json", "not a JSON object but a text"),
    b"7": ("json", "not a JSON object but a number"),
    b'{"text": "\xff"}': ("utf-8", "not valid UTF-8 at byte 10.*CP949"),
    b'{"body": "a", "id": 1}': ("missing key", r"no key 'text' \(keys here: 'body', 'id'\).*--json-keys"),
    b'{"text": 5}': ("wrong type", "the value of 'text' is a number"),
    b'{"text": null}': ("wrong type", "the value of 'text' is null"),
    b'{"text": "\\ud800"}': ("surrogate", "lone surrogate"),
    b'{"text": "a", "id": "\\udfff"}': ("surrogate", "the value of 'id' holds a lone surrogate"),
    b'{"text": "a"} {"text": "b"}': ("json", "Extra data"),
}
ODD_LINES = {
    b'{"text": "a", "id": NaN, "n": 1e999}': "a",
    b'{"text": "a", "id": 123456789012345678901234567890}': "a",
    b'{"text": "\\ud83d\\ude00", "id": 18446744073709551615}\r': "😀",
    b'  {"other": "\\ud800", "text": "\\u0000b"}  ': "\0b",
    b'{"text": "first", "text": "second"}': "second",
}


@pytest.fixture(params=["orjson", "json"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    return str(request.param)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("raw", BAD_LINES)
def test_a_bad_line_is_named_with_file_and_line(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "one"}\n\n' * 8 + raw + b'\n{"text": "last"}')
    read = read_all(path, Fields(metadata=("id",)))
    kind, sentence = BAD_LINES[raw]
    (problem,) = read.problems
    assert problem.kind == kind
    assert problem.message.startswith(f"{path}:17: ")
    assert re.search(sentence, problem.message)
    assert read.texts == ["one"] * 8 + ["last"]


def test_lines_that_only_one_parser_takes_come_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\n".join(ODD_LINES))
    fast = read_all(path, Fields(metadata=("id", "n")))
    monkeypatch.setitem(sys.modules, "orjson", None)
    plain = read_all(path, Fields(metadata=("id", "n")))
    assert fast.texts == plain.texts == list(ODD_LINES.values())
    assert repr(fast.metadata) == repr(plain.metadata)
    assert [type(value) for value in fast.metadata["id"]] == [float, float, int, type(None), type(None)]


JSON_LINE = st.one_of(
    st.text(max_size=30).map(lambda text: json.dumps({"text": text}, ensure_ascii=False)),
    st.sampled_from(["", " ", "{", '{"text": 1}', '{"body": "x"}']),
).map(lambda line: line.encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=150)
@given(
    content=st.lists(JSON_LINE, max_size=25).map(b"\n".join),
    task_bytes=st.integers(1, 400),
    chunk=st.integers(1, 64),
    ending=st.sampled_from([b"", b"\n", b"\n\n"]),
)
def test_how_a_file_is_cut_and_read_never_changes_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, task_bytes: int, chunk: int, ending: bytes
) -> None:
    path = tmp_path_factory.mktemp("cut") / "data.jsonl"
    path.write_bytes(content + ending)
    whole = read_all(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", chunk)
        assert read_all(path, task_bytes=task_bytes) == whole
    assert whole.bytes_read == path.stat().st_size
    raw = path.read_bytes()
    for position, text in zip(whole.positions, whole.texts, strict=True):
        assert json.loads(raw[position:].split(b"\n")[0])["text"] == text
    good = [line for line in raw.split(b"\n") if line.startswith(b'{"text": "')]
    assert len(whole.texts) + sum(problem.kind == "surrogate" for problem in whole.problems) <= len(good)
    assert len(whole.texts) + len(whole.problems) == sum(bool(line.strip()) for line in raw.split(b"\n"))


def test_keys_enter_nested_objects_unless_they_stand_there_themselves(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    records = [{"doc": {"body": "a", "id": 3}, "tags": ["x"]}, {"doc.body": "b", "doc": 5}]
    path.write_text("\n".join(map(json.dumps, records)))
    read = read_all(path, Fields("doc.body", ("doc.id", "tags", "nothing")))
    assert read.texts == ["a", "b"]
    assert read.metadata == {"doc.id": [3, None], "tags": [["x"], None], "nothing": [None, None]}


def test_batches_are_small_and_a_line_too_long_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.jsonl"
    long = json.dumps({"text": "x" * 500})
    path.write_text('{"text": "a"}\n' * 3000 + long + "\n" + '{"text": "b"}\n' + long)
    (portion,) = cut(0, list_inputs([path])[0], TaskSizes(1 << 20))
    assert [len(records.texts) for records in read_portion(portion, Fields())] == [1024, 1024, 955]
    monkeypatch.setattr(lines, "LONGEST_LINE", 400)
    monkeypatch.setattr(chunks, "CHUNK", 100)
    read = read_all(path)
    assert [problem.message.split(": ")[0] for problem in read.problems] == [f"{path}:3001", f"{path}:3003"]
    assert {problem.kind for problem in read.problems} == {"line too long"}
    assert read.texts == ["a"] * 3000 + ["b"]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n{"text": "\xef\xbb\xbfb"}\n')
    read = read_all(path)
    assert (read.texts, read.positions) == (["a", "\ufeffb"], [3, 17])


@pytest.mark.parametrize("content", [gzip.compress(b"{}"), "{}".encode("utf-16"), b"PAR1...."])
def test_a_file_of_another_format_is_refused_with_what_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.jsonl: not plain text: the file is (gzip|UTF-16|a Parquet)"):
        read_all(path)


def test_a_file_that_shrinks_after_it_was_listed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a"}\n' * 10)
    portions = cut(0, list_inputs([path])[0], TaskSizes(70))
    path.write_text('{"text": "a"}\n' * 4)
    with pytest.raises(DataError, match="shorter than when the inputs were listed"):
        list(read_portion(portions[1], Fields()))


@pytest.mark.parametrize("between", [b"", bytes(4), bytes(4096)])
def test_every_stream_of_an_xz_file_is_read(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "in.jsonl.xz"
    path.write_bytes(between.join(lzma.compress(b'{"text": "%d"}\n' % number * 3000) for number in range(3)) + between)
    assert len(read_all(path).texts) == 9000


@pytest.mark.parametrize("rest", [b"X", b"X" + lzma.compress(b'{"text": "two"}\n')[1:], lzma.compress(b"x" * 99)[:-5]])
def test_what_follows_an_xz_stream_is_a_stream_or_an_error(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "in.jsonl.xz"
    path.write_bytes(lzma.compress(b'{"text": "one"}\n') + rest)
    with pytest.raises(DataError, match=r"in\.jsonl\.xz"):
        read_all(path)
