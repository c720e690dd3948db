"""Text files: files, paragraphs and lines, each once however a file is cut."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from corpus_inputs_world import read_all
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.corpus.inputs import chunks, lines, plain_text
from megakor.corpus.inputs.records import Fields
from megakor.errors import ConfigError

TEXT = "\r\n\n첫 줄\r\n둘째 줄\n \t\n\n다음 문단\n\n\nlast\r\n".encode()


def write(directory: Path, content: bytes, name: str = "a.txt") -> Path:
    (directory / name).write_bytes(content)
    return directory / name


def read_as(path: Path, unit: str, task_bytes: int = 1 << 30) -> list[str]:
    return read_all(path, Fields(text_unit=unit), task_bytes).texts


def test_a_document_is_a_file_a_paragraph_or_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + TEXT)
    assert read_as(path, "file") == [TEXT.decode()]
    assert read_as(path, "paragraph") == ["첫 줄\r\n둘째 줄", "다음 문단", "last"]
    assert read_as(path, "line") == ["첫 줄", "둘째 줄", "다음 문단", "last"]
    packed = write(tmp_path, gzip.compress(TEXT), "a.txt.gz")
    for unit in ("file", "paragraph", "line"):
        assert read_as(packed, unit) == read_as(path, unit)
    with pytest.raises(ConfigError, match="one of file, paragraph, line"):
        read_as(path, "page")


@settings(deadline=None, max_examples=200)
@given(
    content=st.text(st.sampled_from("ab한\n\n\n \r\t"), max_size=60).map(str.encode),
    task_bytes=st.integers(1, 70),
    chunk=st.integers(4, 20),
    mark=st.booleans(),
)
def test_how_a_file_is_cut_never_changes_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, task_bytes: int, chunk: int, mark: bool
) -> None:
    path = write(tmp_path_factory.mktemp("text"), b"\xef\xbb\xbf" * mark + content)
    text = content.decode()
    expected = {
        "file": [text] if text else [],
        "line": [line.rstrip("\r") for line in text.split("\n") if line.strip()],
        "paragraph": [part for part in map(trimmed, re.split(r"(?:^|\n)(?:[ \r\t]*(?:\n|$))+", text)) if part],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", chunk)
        patch.setattr(plain_text, "_LOOKED_AT", 3)
        for unit, documents in expected.items():
            assert read_as(path, unit, task_bytes) == documents


def trimmed(paragraph: str) -> str:
    return paragraph.rstrip("\r\n")


def test_what_is_no_text_is_a_problem_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"good\n\nbad \xff\nline\n\n" + b"x" * 200 + b"\ny\n\ngood too\n")
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    monkeypatch.setattr(chunks, "CHUNK", 30)
    for task_bytes in (40, 1 << 20):
        read = read_all(path, Fields(text_unit="paragraph", metadata=("id",)), task_bytes)
        assert (read.texts, read.metadata) == (["good", "good too"], {"id": [None, None]})
        places = [(problem.kind, problem.message.split(": ")[0]) for problem in read.problems]
        assert places == [("utf-8", f"{path}:3"), ("too long", f"{path}:6")]
    by_line = read_all(path, Fields(text_unit="line"))
    assert by_line.texts == ["good", "line", "y", "good too"]
    (whole,) = read_all(path, Fields(text_unit="file")).problems
    assert (whole.kind, whole.message.split(": ")[0]) == ("too long", f"{path}:1")
