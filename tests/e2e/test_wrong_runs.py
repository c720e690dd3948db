"""Wrong inputs of a run: one sentence with file or key, the exit code of its kind, nothing left that looks whole.

What one process can show runs in this one, through `main`; what needs ranks or a disk of its own runs as a user would
start it.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from real_runs import BATCH, World, checkpoint_path, train_lines
from small_disk import small_disk

from megakor.checkpoint.listing import list_checkpoints
from megakor.cli import main
from megakor.corpus.shard_writer import ShardWriter
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.errors import ExitCode

SHORT = f"train.tokens={4 * BATCH}"


@dataclass(frozen=True)
class Wrong:
    what: str
    change: Callable[[Path], object]
    """Spoils one thing in a copy of the world."""
    words: tuple[str, ...]
    """All of them stand in the sentence."""
    code: ExitCode = ExitCode.DATA
    overrides: tuple[str, ...] = ()


def cut(name: str, by: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-by])

    return change


def other_tokenizer(folder: Path) -> None:
    options = TokenizerOptions({"ko": [str(folder / "ko.jsonl")]}, folder / "tokenizer", 600, overwrite=True)
    train_tokenizer(options, lambda line: None)


def foreign_shard(folder: Path) -> None:
    """A shard without a manifest, as Megatron-LM writes it, of a larger vocabulary."""
    for path in (folder / "shards").glob("ko*"):
        path.unlink()
    with ShardWriter(folder / "shards" / "ko", np.dtype("uint16")) as writer:
        writer.add_document(np.arange(20_000, dtype=np.uint16) % 30_000)


def short_shard(folder: Path) -> None:
    foreign_shard(folder)
    with ShardWriter(folder / "shards" / "ko", np.dtype("uint16")) as writer:
        writer.add_document([1, 2, 3])


def make_directory(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir(parents=True)


def write(name: str, content: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return change


def nothing(folder: Path) -> None:
    """The overrides alone are wrong."""


HELD_OUT = ("data.sources.korean.path=shards/ko.validation",)

WRONG = [
    Wrong("no tokenizer", lambda folder: shutil.rmtree(folder / "tokenizer"), ("no tokenizer here", "train_tokenizer")),
    Wrong("no shard", lambda folder: (folder / "shards/ko.bin").unlink(), ("shards/ko.bin is missing",)),
    Wrong("truncated .bin", cut("shards/ko.bin", 10), ("shards/ko.bin", "copied in part")),
    Wrong("truncated .idx", cut("shards/ko.idx", 10), ("shards/ko.idx", "copied in part")),
    Wrong("truncated validation .bin", cut("shards/ko.validation.bin", 10), ("shards/ko.validation.bin", "truncated")),
    Wrong("cut manifest", cut("shards/ko.json", 10), ("shards/ko.json", "manifest")),
    Wrong("shards of another tokenizer", other_tokenizer, ("data.sources.korean", "another tokenizer")),
    Wrong("ids beyond the vocabulary", foreign_shard, ("shards/ko", "vocabulary")),
    Wrong("less than a block", short_shard, ("data.sources.korean", "block")),
    Wrong("training on held-out text", nothing, ("data.sources.korean", "held-out"), overrides=HELD_OUT),
    Wrong(
        "vocabulary below the tokenizer's",
        nothing,
        ("model.vocabulary_size", "500"),
        ExitCode.USAGE,
        ("model.vocabulary_size=500",),
    ),
    Wrong("run directory is a file", write("runs/run", ""), ("runs/run is a file",), ExitCode.USAGE),
    Wrong("run directory cannot be made", nothing, ("/proc/run",), ExitCode.STORAGE, ("run.dir=/proc/run",)),
    Wrong("metrics cannot be written", make_directory("runs/run/metrics.jsonl"), ("metrics.jsonl",), ExitCode.STORAGE),
    Wrong("ledger cannot be written", make_directory("runs/run/ledger.jsonl"), ("ledger.jsonl",)),
    Wrong("ledger is none", write("runs/run/ledger.jsonl", "{\n"), ("ledger.jsonl:1",)),
    Wrong("config cannot be saved", make_directory("runs/run/config.yaml"), ("config.yaml",), ExitCode.STORAGE),
    Wrong("checkpoints is a file", write("runs/run/checkpoints", ""), ("runs/run/checkpoints",), ExitCode.STORAGE),
]


def copy_of(world: World, folder: Path) -> World:
    """The inputs of the world, to be spoiled."""
    for name in ("tokenizer", "shards"):
        shutil.copytree(world.directory / name, folder / name)
    for name in ("run.yaml", "ko.jsonl"):
        shutil.copy(world.directory / name, folder)
    return World(folder)


@pytest.fixture
def spoilt(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of the world, and the working directory of the test."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "0")
    monkeypatch.chdir(tmp_path)
    return copy_of(world, tmp_path)


def only_error(told: str) -> str:
    """The one error in what stderr got. A configuration has a headline and one for each of its problems."""
    assert "Traceback" not in told
    _, mark, error = told.partition("error: ")
    headlines = error.startswith("The configuration has 1 error")
    assert mark and error.count("error: ") == headlines, told
    return error


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_run_says_what_is_wrong_and_leaves_no_checkpoint(
    wrong: Wrong, spoilt: World, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.change(spoilt.directory)
    assert main(["pretrain", "run.yaml", SHORT, *wrong.overrides]) == wrong.code
    error = only_error(capsys.readouterr().err)
    assert all(words in error for words in wrong.words), error
    assert not list((spoilt.directory / "runs").glob("*/checkpoints/*"))


def test_a_document_longer_than_the_run_is_trained_on(spoilt: World) -> None:
    with ShardWriter(spoilt.directory / "shards" / "long", np.dtype("uint16")) as writer:
        writer.add_document(np.arange(10 * BATCH, dtype=np.uint16) % 500)
    assert main(["pretrain", "run.yaml", SHORT, "data.sources.korean.path=shards/long"]) == ExitCode.DONE
    assert train_lines(spoilt.run_dir("run")) == 4


@pytest.fixture(scope="module")
def trained(world: World) -> Path:
    """The directory of a finished run of four steps with checkpoints at two and four."""
    world.pretrain("trained", f"train.tokens={4 * BATCH}")
    return world.run_dir("trained")


@pytest.fixture
def again(spoilt: World, trained: Path) -> World:
    """`spoilt` with a copy of the finished run."""
    shutil.copytree(trained, spoilt.run_dir("run"))
    return spoilt


def test_a_checkpoint_of_another_model_is_refused_and_kept(again: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = list_checkpoints(again.run_dir("run") / "checkpoints")
    assert main(["pretrain", "run.yaml", f"train.tokens={6 * BATCH}", "model.ffn_hidden_size=96"]) == ExitCode.USAGE
    error = only_error(capsys.readouterr().err)
    assert "is of another model" in error
    assert "ffn_hidden_size: 64 in the checkpoint, 96 in the configuration" in error
    assert list_checkpoints(again.run_dir("run") / "checkpoints") == before


def test_damaged_checkpoints_are_all_named(again: World, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (2, 4):
        cut("common.pt", 1)(checkpoint_path(again.run_dir("run"), step))
    assert main(["pretrain", "run.yaml", f"train.tokens={6 * BATCH}"]) == ExitCode.STORAGE
    error = only_error(capsys.readouterr().err)
    assert all(checkpoint_path(Path("runs/run"), step).name in error for step in (2, 4))


def test_another_seed_is_refused_on_resume(again: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "run.yaml", f"train.tokens={6 * BATCH}", "run.seed=8"]) == ExitCode.USAGE
    assert "run.seed is 8, but the run began with 7" in only_error(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["generate", "none", "--prompt", "a"], "none/config.yaml is not there", ExitCode.DATA),
        (["generate", "runs/run", "--prompt", ""], "the prompt is empty", ExitCode.DATA),
        (["generate", "runs/empty", "--prompt", "a"], "holds no checkpoint yet", ExitCode.DATA),
    ],
)
def test_generation_says_what_is_wrong(
    words: list[str], told: str, code: ExitCode, again: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(again.run_dir("run"), again.run_dir("empty"), ignore=lambda *_: ["checkpoints"])
    assert main(words) == code
    assert told in only_error(capsys.readouterr().err)


def test_two_ranks_tell_an_error_once(world: World, tmp_path: Path) -> None:
    spoilt = copy_of(world, tmp_path)
    cut("shards/en.bin", 10)(tmp_path)
    ended = spoilt.megakor("pretrain", "run.yaml", "--nproc", "2")
    assert ended.code == ExitCode.DATA
    assert ended.err.count("error: ") == 1
    assert "shards/en.bin" in only_error(ended.err)


def test_a_port_in_use_is_said(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rank = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        ended = world.megakor("pretrain", "run.yaml", "run.dir=runs/port", MASTER_PORT=str(port), **rank)
    assert ended.code == ExitCode.HARDWARE
    assert f"127.0.0.1:{port}" in only_error(ended.err)


def test_a_full_disk_keeps_the_last_whole_checkpoint(world: World) -> None:
    run = world.run_dir("full")
    with small_disk(run, "3500k"):
        ended = world.megakor("pretrain", "run.yaml", "run.dir=runs/full")
        assert ended.code == ExitCode.STORAGE
        assert re.search("No space left on device|the disk is full", only_error(ended.err))
        whole = list_checkpoints(run / "checkpoints")
        assert whole
        assert len(list(run.glob("checkpoints/*/manifest.json"))) == len(whole)

        with open(run / "filler", "wb", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(4096)):  # to the last byte
                pass
        assert main(["checkpoint", "prune", str(run), "--keep", "1", "--yes"]) == ExitCode.DONE
        assert list_checkpoints(run / "checkpoints") == whole[-1:]
        (run / "filler").unlink()
        world.pretrain("full", "checkpoint.keep=1")
        assert len(world.losses("full")) == 12
