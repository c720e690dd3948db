"""A build never destroys what is not its own, and never takes what a kill has left for something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_world import make_tokenizer, shard_documents, small_texts, write_jsonl

from megakor.corpus.build.job import WORK_FORMAT, Job
from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.manifest import Manifest
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_jsonl(tmp_path / "in" / "a.jsonl", small_texts(40))


def build(source: Path, tokenizer: Path, prefix: Path, **options: object) -> list[Manifest]:
    given = PreprocessOptions((str(source),), prefix, tokenizer, engine="tokenizers", task_bytes=1000)
    return preprocess(replace(given, **options), lambda _: None)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def killed(
    moment: str, action: Callable[[], object], monkeypatch: pytest.MonkeyPatch, instead: Callable[..., None] = interrupt
) -> None:
    """Carry the action out up to a call that it does not survive."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(moment, instead)
        action()


def test_a_kill_while_the_work_directory_goes_leaves_the_finished_shard(
    tmp_path: Path, tokenizer: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "out"

    def removed_in_part(directory: Path, **_: object) -> None:
        if Path(directory).exists():
            for path in sorted(Path(directory).glob("*"))[:2]:
                path.unlink()
            raise KeyboardInterrupt

    killed("shutil.rmtree", lambda: build(source, tokenizer, prefix), monkeypatch, removed_in_part)
    assert len(shard_documents(prefix)) == 40
    assert Path(f"{prefix}.work.removed").exists()
    Path(f"{prefix}.work.lock").touch()  # as after kill -9
    build(source, tokenizer, prefix)
    assert len(shard_documents(prefix)) == 40
    assert not list(tmp_path.glob("out.work*"))
    assert not verify_shard(prefix, VerifyOptions()).findings.damaged


def test_a_kill_in_the_middle_of_overwriting_mixes_no_builds(
    tmp_path: Path, tokenizer: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "out"
    killed("megakor.corpus.preprocess.assemble", lambda: build(source, tokenizer, prefix), monkeypatch)
    again = lambda: build(source, tokenizer, prefix, append_eod=True, overwrite=True)  # noqa: E731
    killed("megakor.corpus.build.job.sync_directory", again, monkeypatch)
    again()
    build(source, tokenizer, tmp_path / "clean", append_eod=True)
    assert Path(f"{prefix}.bin").read_bytes() == (tmp_path / "clean.bin").read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".validation.parquet", ".bin"])
def test_a_build_does_not_overwrite_its_input(tmp_path: Path, tokenizer: Path, source: Path, suffix: str) -> None:
    other = tmp_path / f"c{suffix}"
    other.write_bytes(source.read_bytes())
    with pytest.raises((ConfigError, DataError)):
        build(source, tokenizer, tmp_path / "c", inputs=(str(source), str(other)))
    assert other.read_bytes() == source.read_bytes()


def test_a_build_does_not_overwrite_files_that_have_no_index(tmp_path: Path, tokenizer: Path, source: Path) -> None:
    (tmp_path / "out.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        build(source, tokenizer, tmp_path / "out")
    assert (tmp_path / "out.parquet").read_text() == "mine"


def test_a_build_does_not_overwrite_its_tokenizer(tmp_path: Path, tokenizer: Path, source: Path) -> None:
    shutil.copytree(tokenizer, tmp_path / "tok")
    before = (tmp_path / "tok" / "tokenizer.json").read_bytes()
    with pytest.raises(ConfigError, match=r"tokenizer\.json is read by this build"):
        build(source, tmp_path / "tok", tmp_path / "tok" / "tokenizer")
    assert (tmp_path / "tok" / "tokenizer.json").read_bytes() == before


def test_a_prefix_inside_an_input_directory_is_refused(tmp_path: Path, tokenizer: Path, source: Path) -> None:
    with pytest.raises(ConfigError, match="lies inside the input directory"):
        build(source.parent, tokenizer, source.parent / "out")


def test_two_keys_that_write_one_shard_are_refused(tmp_path: Path, tokenizer: Path, source: Path) -> None:
    with pytest.raises(ConfigError, match="two of them would write the same shard"):
        build(source, tokenizer, tmp_path / "out", json_keys=("text", "text.validation"), holdout_share=0.2)


def test_a_directory_that_is_no_work_directory_is_left_alone(tmp_path: Path, tokenizer: Path, source: Path) -> None:
    (tmp_path / "out.work").mkdir()
    (tmp_path / "out.work" / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"out\.work holds precious\.txt"):
        build(source, tokenizer, tmp_path / "out")
    assert (tmp_path / "out.work" / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"options": []}', "[" * 100_000, '{"options": {}, "inputs": [1]}']
)
@pytest.mark.parametrize("name", ["job.json", "encode.000000.json"])
def test_a_damaged_work_directory_is_said_in_a_sentence(
    tmp_path: Path, tokenizer: Path, source: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    prefix = tmp_path / "out"
    killed("megakor.corpus.preprocess.assemble", lambda: build(source, tokenizer, prefix), monkeypatch)
    (tmp_path / "out.work" / name).write_text(content)
    with pytest.raises((DataError, ConfigError), match=r"out\.work"):
        build(source, tokenizer, prefix)


@pytest.mark.parametrize("damage", ["gone", "short", "flipped", "arrow"])
def test_a_damaged_run_never_becomes_a_shard(
    tmp_path: Path, tokenizer: Path, source: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    prefix = tmp_path / "out"
    killed("megakor.corpus.preprocess.assemble", lambda: build(source, tokenizer, prefix), monkeypatch)
    run = tmp_path / "out.work" / ("000000.training.0.arrow" if damage == "arrow" else "000000.training.0.tokens")
    content = bytearray(run.read_bytes())
    content[len(content) // 2] ^= 255
    if damage == "gone":
        run.unlink()
    else:
        run.write_bytes(content[: len(content) // 2] if damage == "short" else content)
    with pytest.raises(DataError, match=r"out\.work"):
        build(source, tokenizer, prefix)
    assert not Path(f"{prefix}.idx").exists()


def test_a_build_that_had_published_does_not_withdraw_again(
    tmp_path: Path, tokenizer: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the work directory only the notes of publishing are left."""
    prefix = tmp_path / "out"
    build(source, tokenizer, prefix)
    manifest = json.loads(Path(f"{prefix}.json").read_text())
    work = tmp_path / "out.work"
    work.mkdir()
    record = {
        "options": manifest["options"],
        "tokenizer_sha256": manifest["tokenizer_sha256"],
        "task_bytes": 1000,
        "work_format": WORK_FORMAT,
    }
    record["inputs"] = [[entry["path"], entry["bytes"]] for entry in manifest["inputs"]]
    (work / "job.json").write_text(json.dumps(record))
    Job(work).mark("publish", "all", {"training": manifest})
    Job(work).mark("publish", "withdrawn", {})
    build(source, tokenizer, prefix)
    assert len(shard_documents(prefix)) == 40
