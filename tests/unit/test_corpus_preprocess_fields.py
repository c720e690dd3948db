"""Fields that options name: misspelt ones end the build, and what was done with the others is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_world import make_tokenizer

from megakor.corpus.metadata import read_metadata
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.errors import ConfigError

ROWS = [{"text": f"문서 {number}", "quality": number, **({"url": "u"} if number < 3 else {})} for number in range(5)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build(source: Path, tokenizer: Path, **options: Any) -> list[str]:
    told: list[str] = []
    prefix = source.parent / "out" / "shard"
    given = PreprocessOptions((str(source),), prefix, tokenizer, engine="tokenizers", shuffle_seed=None, **options)
    preprocess(given, told.append)
    return told


MISSPELT = [
    ({"where": "quaity >= 3"}, "--where names the field 'quaity'"),
    ({"prepend": "{urll}"}, "--prepend names the field 'urll'"),
    ({"append": "{url.x}"}, "--append names the field 'url.x'"),
    ({"metadata_keys": ("quality", "quaity")}, "--metadata-keys names the field 'quaity'"),
    ({"language_key": "langauge"}, "--language-key names the field 'langauge'"),
    ({"source_key": "scource"}, "--source-key names the field 'scource'"),
    ({"append": "{document_id}", "document_id": "idd"}, "--document-id names the field 'idd'"),
]


@pytest.mark.parametrize(("options", "message"), MISSPELT)
@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_a_field_that_no_document_has_ends_the_build_with_its_name(
    tmp_path: Path, tokenizer: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(write(tmp_path / name, ROWS), tokenizer, **options)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_field_that_the_first_documents_lack_is_warned_of_and_may_come_later(tmp_path: Path, tokenizer: Path) -> None:
    write(tmp_path / "b.jsonl", [{"text": "c", "quality": None}])
    write(tmp_path / "a.jsonl", [{"text": "a"}, {"text": "b"}])
    told = build(tmp_path / "*.jsonl", tokenizer, metadata_keys=("quality",), task_bytes=1000)
    assert not any(line.startswith("warning: --metadata-keys") for line in told)
    with pytest.raises(ConfigError):
        build(tmp_path / "a.jsonl", tokenizer, metadata_keys=("quality",), overwrite=True)


def test_how_many_documents_got_a_text_is_told(tmp_path: Path, tokenizer: Path) -> None:
    told = build(write(tmp_path / "in.jsonl", ROWS), tokenizer, prepend="{url}\n", append=" {quality}")
    assert "text put before 3 of 5 documents" in told
    assert "text put after 5 of 5 documents" in told


@pytest.mark.parametrize("option", ["prepend", "append"])
def test_a_probability_needs_its_template(tmp_path: Path, tokenizer: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option}-probability.*give both"):
        build(write(tmp_path / "in.jsonl", ROWS), tokenizer, **{f"{option}_probability": 0.5})


@pytest.mark.parametrize("task_bytes", [None, 1])
def test_values_of_several_kinds_become_text_and_it_is_told(
    tmp_path: Path, tokenizer: Path, task_bytes: int | None
) -> None:
    rows = [{"text": "a", "quality": 1, "n": 1}, {"text": "b", "quality": "hi", "n": 2.5}]
    told = build(write(tmp_path / "in.jsonl", rows), tokenizer, metadata_keys=("quality", "n"), task_bytes=task_bytes)
    assert [line for line in told if "several kinds" in line] == [
        "the values of 'quality' are of several kinds: its column holds them as text"
    ]
    batches = list(read_metadata(tmp_path / "out" / "shard") or ())
    assert [row["quality"] for batch in batches for row in batch.to_pylist()] == ["1", "hi"]


def test_few_documents_for_validation_are_warned_of(tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"text": f"문서 {number}"} for number in range(400)]
    source = write(tmp_path / "in.jsonl", rows)
    assert any(
        "documents for validation: fewer than 100" in line for line in build(source, tokenizer, holdout_share=0.1)
    )
    told = build(source, tokenizer, holdout_share=0.5, overwrite=True)
    assert not any("fewer than 100" in line for line in told)
