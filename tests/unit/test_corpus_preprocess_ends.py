"""How a build ends early: what it leaves, what it says of it, and when a finished one counts as finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.corpus import preprocess as preprocess_module
from megakor.corpus import preprocess_command
from megakor.corpus.engines import load
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.errors import ConfigError, ExitCode, LostError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def words(tmp_path: Path, tokenizer: Path) -> list[str]:
    """A command line of a build in several tasks."""
    source = write_jsonl(tmp_path / "in.jsonl", small_texts(40))
    return [
        *("--input", str(source), "--output-prefix", str(tmp_path / "out" / "ko"), "--tokenizer-model", str(tokenizer)),
        *("--engine", "tokenizers", "--task-megabytes", "0.001", "--holdout-share", "0.2"),
    ]


@pytest.mark.parametrize("name", ["ko.parquet", "ko.validation.parquet", "ko.validation.json"])
def test_a_finished_build_that_lost_a_file_is_not_finished(tmp_path: Path, words: list[str], name: str) -> None:
    assert preprocess_command.main(words) == ExitCode.DONE
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / name).unlink()
    assert preprocess_command.main(words) == ExitCode.USAGE
    assert preprocess_command.main([*words, "--overwrite"]) == ExitCode.DONE
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_metadata_of_fewer_documents_are_damage(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert preprocess_command.main(words) == ExitCode.DONE
    path = tmp_path / "out" / "ko.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    assert preprocess_command.main(words) == ExitCode.USAGE
    assert "ko.parquet is not whole" in capsys.readouterr().err


@pytest.mark.parametrize("prefix", ["there/", "new/", "there"])
def test_a_directory_is_no_prefix(
    tmp_path: Path, words: list[str], prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    assert preprocess_command.main([*words, "--output-prefix", f"{tmp_path}/{prefix}"]) == ExitCode.USAGE
    assert f"give a name in it, such as {tmp_path}/{prefix.rstrip('/')}/ko" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def die_after(calls: int, error: BaseException) -> Any:
    """Lets a stage mark some of its tasks, then fails."""
    real = preprocess_module.work_through

    def work_through(*arguments: Any) -> Any:
        for number, done in enumerate(real(*arguments)):
            if number == calls:
                raise error
            yield done

    return work_through


@pytest.mark.parametrize("error", [LostError("a worker died."), KeyboardInterrupt()])
@pytest.mark.parametrize("done", [0, 2])
def test_what_is_done_is_kept_and_told_only_if_something_is(
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    done: int,
) -> None:
    monkeypatch.setattr(preprocess_module, "work_through", die_after(done, error))
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            preprocess_command.main(words)
    else:
        assert preprocess_command.main(words) == ExitCode.LOST
    told = f"What is done is kept in {tmp_path}/out/ko.work: the same command goes on from it."
    assert (told in capsys.readouterr().err) == bool(done)
    assert (tmp_path / "out" / "ko.work").exists() == bool(done)
    assert (tmp_path / "out" / "ko.work.lock").exists() == bool(done)


@pytest.mark.parametrize("size", ["0.001003", "0.0009"])
def test_work_in_tasks_of_another_size_is_refused_with_the_way_to_go_on(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    begun = [*words, "--task-megabytes", size]
    with monkeypatch.context() as patch:
        patch.setattr(preprocess_module, "work_through", die_after(1, LostError("a worker died.")))
        assert preprocess_command.main(begun) == ExitCode.LOST
    capsys.readouterr()
    assert preprocess_command.main(words) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"was {size} and is 0.001 (--task-megabytes {size} goes on from what is done)" in said
    assert "the same command" not in said
    assert preprocess_command.main([*words, "--task-megabytes", size]) == ExitCode.DONE


def test_an_engine_that_is_not_installed_is_told_before_anything_is_made(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "installed_version", lambda name: None)
    options = PreprocessOptions((str(tmp_path / "in.jsonl"),), tmp_path / "out" / "ko", tokenizer, engine="gigatoken")
    with pytest.raises(ConfigError, match="--engine gigatoken: not installed"):
        preprocess(options, print)
    assert not (tmp_path / "out").exists()
