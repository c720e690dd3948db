"""Preprocessing: the same shards from any number of workers, held-out text apart, bad inputs said in one sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_world import make_tokenizer, shard_documents, small_texts, write_jsonl

from megakor.corpus.holdout import HoldoutRule, sentence_hashes
from megakor.corpus.manifest import Manifest, read_manifest
from megakor.corpus.metadata import read_metadata
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError, DataError, StorageError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def build(source: Path, tokenizer: Path, prefix: Path, **options: object) -> list[Manifest]:
    given = PreprocessOptions(inputs=(str(source),), output_prefix=prefix, tokenizer=tokenizer, engine="tokenizers")
    return preprocess(replace(given, **options), lambda _: None)


def texts_of(prefix: Path, tokenizer: Path) -> list[str]:
    loaded = Tokenizer.load(tokenizer)
    return [loaded.decode(ids.tolist()) for ids in shard_documents(prefix)]


def test_every_document_is_written_once_whole_and_in_a_shuffled_order(tmp_path: Path, tokenizer: Path) -> None:
    texts = small_texts(50)
    source = write_jsonl(tmp_path / "in.jsonl", texts)
    build(source, tokenizer, tmp_path / "shuffled")
    build(source, tokenizer, tmp_path / "plain", shuffle_seed=None)
    assert texts_of(tmp_path / "plain", tokenizer) == texts
    shuffled = texts_of(tmp_path / "shuffled", tokenizer)
    assert shuffled != texts
    assert sorted(shuffled) == sorted(texts)


def test_the_bytes_depend_neither_on_the_workers_nor_on_how_the_work_is_cut(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [*small_texts(60), "", "네. 네."])
    options = {
        "append_eod": True,
        "holdout_share": 0.2,
        "holdout_exclusive_sentences": True,
        "holdout_minimum_characters": 5,
    }
    build(source, tokenizer, tmp_path / "1" / "out", **options)
    build(source, tokenizer, tmp_path / "2" / "out", workers=4, task_bytes=1000, **options)
    monkeypatch.setattr("megakor.corpus.build.encode.RUN_BYTES", 300)
    monkeypatch.setattr("megakor.corpus.build.merge.BUCKET_BYTES", 700)
    build(source, tokenizer, tmp_path / "3" / "out", task_bytes=3000, **options)
    ends = ("bin", "idx", "json", "parquet")
    names = [*(f"out.{end}" for end in ends), *(f"out.validation.{end}" for end in ends)]
    for other in ("1", "2", "3"):
        assert sorted(path.name for path in (tmp_path / other).iterdir()) == names
        for name in names:
            assert (tmp_path / "1" / name).read_bytes() == (tmp_path / other / name).read_bytes()


def test_metadata_and_filters_depend_neither_on_the_tasks_nor_on_the_neighbours(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [1, 2.5, "5", None, True, 2**53 + 1, [1], 3, "x"]
    source = tmp_path / "in.jsonl"
    lines = [{"text": text, "f": kinds[n % 9], "n": n % 7} for n, text in enumerate(small_texts(90))]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {"metadata_keys": ("f", "n"), "where": "f >= 2"}
    build(source, tokenizer, tmp_path / "1" / "out", **options)
    monkeypatch.setattr("megakor.corpus.build.encode.RUN_BYTES", 300)
    build(source, tokenizer, tmp_path / "2" / "out", task_bytes=500, **options)
    for name in ("out.parquet", "out.bin", "out.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    kept = [value for batch in read_metadata(tmp_path / "1" / "out") or () for value in batch["f"].to_pylist()]
    assert sorted(kept) == sorted(["2.5", str(2**53 + 1), "3"] * 10)


def test_an_input_that_changed_after_the_survey_of_its_sentences_is_refused(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(60))
    options = {"holdout_share": 0.2, "holdout_exclusive_sentences": True}

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("megakor.corpus.preprocess.choose_engine", killed)
        build(source, tokenizer, tmp_path / "out", **options)
    source.write_bytes(source.read_bytes().replace(b"rained", b"snowed"))
    with pytest.raises(ConfigError, match=r"in\.jsonl has changed"):
        build(source, tokenizer, tmp_path / "out", **options)


def test_a_worker_reports_a_bad_line_as_one_process_does(tmp_path: Path, tokenizer: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\n{"text": \n')
    with pytest.raises(DataError, match=r"in\.jsonl:2: not valid JSON"):
        build(source, tokenizer, tmp_path / "out", workers=2)


def test_a_held_out_document_is_never_in_training_and_duplicates_go_together(tmp_path: Path, tokenizer: Path) -> None:
    texts = small_texts(120)
    source = write_jsonl(tmp_path / "in.jsonl", texts * 2)
    build(source, tokenizer, tmp_path / "out", holdout_share=0.2)
    training, validation = texts_of(tmp_path / "out", tokenizer), texts_of(tmp_path / "out.validation", tokenizer)
    assert not set(training) & set(validation)
    assert sorted(training + validation) == sorted(texts * 2)
    assert set(validation) == {text for text in texts if HoldoutRule(0.2, 1234).holds(text)}


def test_validation_shares_no_sentence_with_training_and_the_manifest_says_what_went(
    tmp_path: Path, tokenizer: Path
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [f"{text} Own sentence of {text}." for text in small_texts(80)])
    options = {"holdout_share": 0.2, "holdout_exclusive_sentences": True, "holdout_minimum_characters": 20}
    _, manifest = build(source, tokenizer, tmp_path / "out", **options)
    known = set().union(*map(sentence_hashes, texts_of(tmp_path / "out", tokenizer)))
    validation = texts_of(tmp_path / "out.validation", tokenizer)
    assert validation
    assert not any(sentence_hashes(text) & known for text in validation)
    assert all(len(text) >= 20 for text in validation)
    assert manifest.holdout is not None and manifest.holdout.sentences_removed >= 2 * len(validation)


def test_documents_that_lose_too_much_are_dropped_and_counted(tmp_path: Path, tokenizer: Path) -> None:
    texts = [f"Same. {number}" for number in range(60)] + [
        f"Long enough, number {number} says." for number in range(60)
    ]
    source = write_jsonl(tmp_path / "in.jsonl", texts)
    options = {"holdout_share": 0.3, "holdout_exclusive_sentences": True, "holdout_minimum_characters": 10}
    _, manifest = build(source, tokenizer, tmp_path / "out", **options)
    held = [text for text in texts if HoldoutRule(0.3, 1234).holds(text)]
    assert manifest.holdout is not None
    assert manifest.holdout.documents_dropped == sum(text.startswith("Same") for text in held) > 0
    assert manifest.documents == sum(text.startswith("Long") for text in held)


def test_the_manifest_describes_the_shard(tmp_path: Path, tokenizer: Path) -> None:
    texts = small_texts(40)
    source = write_jsonl(tmp_path / "in.jsonl", [*texts, " "])
    options = {"append_eod": True, "holdout_share": 0.2, "language": "ko"}
    for manifest, prefix in zip(
        build(source, tokenizer, tmp_path / "out", **options),
        (tmp_path / "out", tmp_path / "out.validation"),
        strict=True,
    ):
        assert read_manifest(prefix) == manifest
        documents = shard_documents(prefix)
        assert manifest.documents == len(documents)
        assert manifest.tokens == sum(map(len, documents))
        assert all(ids[-1] == Tokenizer.load(tokenizer).eod_id for ids in documents)
        assert manifest.bin_bytes == Path(f"{prefix}.bin").stat().st_size
        assert manifest.idx_bytes == Path(f"{prefix}.idx").stat().st_size
        assert (manifest.language, manifest.dtype, manifest.skipped) == ("ko", "uint16", {"empty": 1})
        assert manifest.tokenizer_sha256 == Tokenizer.load(tokenizer).sha256
        own = [text for text in texts if HoldoutRule(0.2, 1234).holds(text) == (manifest.role == "validation")]
        assert manifest.text_bytes == sum(len(text.encode()) for text in own)


def test_several_keys_make_several_shards(tmp_path: Path, tokenizer: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"title": "T", "body": "B"}) + "\n")
    build(source, tokenizer, tmp_path / "out", json_keys=("title", "body"))
    assert texts_of(tmp_path / "out_title", tokenizer) == ["T"]
    assert texts_of(tmp_path / "out_body", tokenizer) == ["B"]


def test_a_document_longer_than_everything_is_kept_whole(tmp_path: Path, tokenizer: Path) -> None:
    long = " ".join(small_texts(2_000))
    source = write_jsonl(tmp_path / "in.jsonl", ["short", long])
    build(source, tokenizer, tmp_path / "out", shuffle_seed=None)
    assert texts_of(tmp_path / "out", tokenizer) == ["short", long]


def test_gzipped_input_gives_the_same_tokens(tmp_path: Path, tokenizer: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(20))
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(source.read_bytes()))
    build(source, tokenizer, tmp_path / "plain")
    build(tmp_path / "in.jsonl.gz", tokenizer, tmp_path / "packed")
    assert (tmp_path / "plain.bin").read_bytes() == (tmp_path / "packed.bin").read_bytes()


def test_bad_lines_can_be_skipped_and_are_reported(tmp_path: Path, tokenizer: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"text": "one"}\nnot json\n\n{"text": "\xff"}\n{"text": "two"}\n')
    lines: list[str] = []
    options = PreprocessOptions((str(source),), tmp_path / "out", tokenizer, on_error="skip", shuffle_seed=None)
    (manifest,) = preprocess(options, lines.append)
    assert texts_of(tmp_path / "out", tokenizer) == ["one", "two"]
    assert sum(manifest.skipped.values()) == 2
    assert [line for line in lines if "in.jsonl:2" in line] and [line for line in lines if "in.jsonl:4" in line]
    assert "skipped 2 documents that cannot be read:" in lines


def no_file(folder: Path) -> None:
    (folder / "in.jsonl").unlink()


def empty_file(folder: Path) -> None:
    (folder / "in.jsonl").write_text("\n\n")


def only_empty_documents(folder: Path) -> None:
    write_jsonl(folder / "in.jsonl", ["", "  "])


def malformed_last_line(folder: Path) -> None:
    with (folder / "in.jsonl").open("a") as file:
        file.write('{"text": "a"')


def other_key(folder: Path) -> None:
    write_jsonl(folder / "in.jsonl", ["a"], key="content")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_file, r"in\.jsonl: no such file"),
        (empty_file, r"in\.jsonl: the corpus is empty"),
        (only_empty_documents, r"the corpus is empty: no document with text \(2 empty\)"),
        (malformed_last_line, r"in\.jsonl:6: not valid JSON"),
        (other_key, r"in\.jsonl:1: no key 'text'"),
    ],
)
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, tokenizer: Path, damage: Callable[[Path], None], message: str, exclusive: bool
) -> None:
    write_jsonl(tmp_path / "in.jsonl", small_texts(5))
    damage(tmp_path)
    options = {"holdout_share": 0.5, "holdout_exclusive_sentences": True} if exclusive else {}
    with pytest.raises(DataError, match=message):
        build(tmp_path / "in.jsonl", tokenizer, tmp_path / "out" / "shard", **options)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_share_that_selects_nothing_or_everything_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", ["one"])
    with pytest.raises(DataError, match="no document is left for validation out of 1"):
        build(source, tokenizer, tmp_path / "out", holdout_share=1e-9)
    with pytest.raises(DataError, match="every document is held out"):
        build(source, tokenizer, tmp_path / "out", holdout_share=0.999999)
    with pytest.raises(ConfigError, match=r"--holdout-share 1\.0"):
        build(source, tokenizer, tmp_path / "out", holdout_share=1.0)
    with pytest.raises(ConfigError, match="--workers 0"):
        build(source, tokenizer, tmp_path / "out", workers=0)


def test_shards_of_another_build_are_replaced_only_on_request_and_with_their_validation(
    tmp_path: Path, tokenizer: Path
) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(40))
    build(source, tokenizer, tmp_path / "out", holdout_share=0.2)
    with pytest.raises(ConfigError, match=r"out is there already and differs: holdout_share was 0\.2 and is 0\.0"):
        build(source, tokenizer, tmp_path / "out")
    build(source, tokenizer, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out.validation.idx").exists()
    assert len(shard_documents(tmp_path / "out")) == 40


def test_a_failed_build_leaves_the_earlier_one_as_it_was(tmp_path: Path, tokenizer: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(40))
    build(source, tokenizer, tmp_path / "out" / "shard", holdout_share=0.2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    malformed_last_line(tmp_path)
    with pytest.raises(DataError):
        build(source, tokenizer, tmp_path / "out" / "shard", holdout_share=0.2, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_an_output_that_cannot_be_written_is_a_storage_error(tmp_path: Path, tokenizer: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(2))
    with pytest.raises(StorageError, match="cannot be written"):
        build(source, tokenizer, source / "out")


@pytest.mark.parametrize("content", ["{", '{"format": "other"}', '{"format": "megakor-shard-1", "inputs": []}'])
def test_a_broken_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "out.json").write_text(content)
    with pytest.raises(DataError, match=r"out\.json: "):
        read_manifest(tmp_path / "out")
