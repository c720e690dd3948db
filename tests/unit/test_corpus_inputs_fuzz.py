"""Whatever a file holds: documents, counted problems or a DataError; never fewer documents without a word."""

from __future__ import annotations

import json
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_inputs_world import Read, read_all

from megakor.corpus.inputs.records import Fields
from megakor.errors import DataError

CASES = int(os.environ.get("MEGAKOR_FUZZ_CASES", "25"))
"""Of every kind of damage to every kind of file."""
FIELDS = Fields(metadata=("id", "doc.id"), text_unit="paragraph")
CODECS = {"gz": "gzip", "zst": "zstd", "bz2": "bz2", "lz4": "lz4", "br": "brotli"}
PIECES = [b'{"text": "', b'"}\n', b"\n", b"\\", b"\\ud83d", "한".encode(), b"\xff", b"[", b"{", b"}", b'"', b":", b","]
PIECES += [b"NaN", b"1e999", b"9" * 30, b"\x00", b"\r\n", b'"text"', b'"doc": {"id": 1}', b" " * 9, b"\xed\xa0\x80"]


def texts(generator: random.Random, count: int) -> list[str]:
    return [f"문서 {row} " + generator.choice('한글ab\n"\\') * generator.randrange(40) for row in range(count)]


def rows(generator: random.Random) -> pa.Table:
    documents = texts(generator, 60)
    return pa.table({"text": documents, "id": range(60), "doc": [{"id": row} for row in range(60)]})


def make_jsonl(path: Path, generator: random.Random) -> None:
    lines = [json.dumps({"text": text, "id": row}) for row, text in enumerate(texts(generator, 60))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_compressed(path: Path, generator: random.Random) -> None:
    make_jsonl(path, generator)
    plain, codec = path.read_bytes(), CODECS.get(path.suffix[1:])
    if codec is None:
        path.write_bytes(lzma.compress(plain))
        return
    with pa.CompressedOutputStream(str(path), codec) as out:
        out.write(plain)


def make_parquet(path: Path, generator: random.Random) -> None:
    pq.write_table(rows(generator), path, row_group_size=17, compression=generator.choice(["snappy", "zstd", "none"]))


def make_arrow(path: Path, generator: random.Random) -> None:
    writer = pa.ipc.new_file if path.name.startswith("file") else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as out, writer(out, rows(generator).schema) as into:
        into.write_table(rows(generator), 17)


MAKERS: dict[str, Callable[[Path, random.Random], None]] = {
    **{f"a.jsonl.{suffix}": make_compressed for suffix in (*CODECS, "xz")},
    "a.parquet": make_parquet,
    "file.arrow": make_arrow,
    "stream.arrow": make_arrow,
}


def read_or_none(path: Path, task_bytes: int) -> Read | None:
    """What can be read, None for a file that is refused in words; any other exception fails the test."""
    try:
        return read_all(path, FIELDS, task_bytes)
    except DataError as error:
        assert str(path) in str(error)
        return None


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    generator = random.Random(name)
    MAKERS[name](tmp_path / name, generator)
    whole = (tmp_path / name).read_bytes()
    assert len(read_all(tmp_path / name, FIELDS).texts) == 60
    for length in {0, len(whole) - 1, *(generator.randrange(len(whole)) for _ in range(CASES))}:
        (tmp_path / name).write_bytes(whole[:length])
        assert read_or_none(tmp_path / name, 700) is None


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_with_foreign_bytes_in_it_never_breaks_the_reader(tmp_path: Path, name: str) -> None:
    generator = random.Random(name)
    MAKERS[name](tmp_path / name, generator)
    whole = (tmp_path / name).read_bytes()
    for _ in range(CASES):
        damaged = bytearray(whole)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(len(whole))] = generator.randrange(256)
        (tmp_path / name).write_bytes(bytes(damaged) + generator.randbytes(generator.choice([0, 0, 20])))
        read_or_none(tmp_path / name, generator.choice([700, 1 << 20]))


@pytest.mark.parametrize("name", [*MAKERS, "a.jsonl", "a.txt"])
def test_random_bytes_never_break_a_reader(tmp_path: Path, name: str) -> None:
    generator = random.Random(name)
    for _ in range(CASES):
        (tmp_path / name).write_bytes(generator.randbytes(generator.randrange(1, 400)))
        read_or_none(tmp_path / name, generator.choice([30, 1 << 20]))


def test_random_json_gives_a_document_or_a_problem_for_every_line(tmp_path: Path) -> None:
    generator, path = random.Random(1), tmp_path / "a.jsonl"
    for _ in range(6 * CASES):
        content = b"".join(generator.choices(PIECES, k=generator.randrange(1, 60)))
        path.write_bytes(content)
        read = read_or_none(path, generator.choice([7, 50, 1 << 20]))
        if read is not None:
            lines = sum(bool(line.strip()) for line in content.split(b"\n"))
            assert len(read.texts) + len(read.problems) == lines


def test_a_plain_file_that_is_cut_off_loses_its_last_line_with_a_word(tmp_path: Path) -> None:
    generator, path = random.Random(2), tmp_path / "a.jsonl"
    make_jsonl(path, generator)
    whole = path.read_bytes()
    for length in generator.sample(range(1, len(whole)), 40):
        path.write_bytes(whole[:length])
        read = read_all(path, FIELDS, 100)
        complete = whole[:length].count(b"\n")
        assert len(read.texts) + len(read.problems) == complete + (not whole[:length].endswith(b"\n"))
        assert len(read.texts) >= complete
