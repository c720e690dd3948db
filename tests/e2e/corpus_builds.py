"""Builds of shards by the real command, for tests that interrupt them or share them out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer

TOOL = Path(__file__).parents[2] / "tools" / "preprocess_data.py"
FILES = (".bin", ".idx", ".parquet", ".json")


def words(directory: Path, prefix: Path, *options: str) -> list[str]:
    """The command that builds PREFIX from the text of `directory`, in tasks of 0.1 MB, with held-out documents."""
    text, tokenizer = str(directory / "text"), str(directory / "tokenizer")
    return [
        *(sys.executable, str(TOOL), "--input", text, "--tokenizer-model", tokenizer, "--output-prefix", str(prefix)),
        *("--append-eod", "--lang", "ko", "--task-megabytes", "0.1", "--metadata-keys", "id", "--normalize", "nfc"),
        *("--holdout-share", "0.05", "--engine", "tokenizers", *options),
    ]  # fmt: skip


def make_inputs(directory: Path) -> Path:
    """Text in two files, a tokenizer, and the shards of a build by one process that nobody disturbed."""
    write_sample_corpus(directory / "text", 1.0, 7)
    inputs = {language: [str(directory / "text" / f"{language}.jsonl")] for language in ("ko", "en")}
    train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 2000, max_megabytes=0.6), lambda _: None)
    done = subprocess.run(words(directory, directory / "calm" / "out"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def content(prefix: Path) -> dict[str, bytes]:
    """The bytes of the training and the validation shard; nothing else may be beside them."""
    found = {path.name: path.read_bytes() for path in prefix.parent.iterdir()}
    assert set(found) == {f"{name}{end}" for name in (prefix.name, f"{prefix.name}.validation") for end in FILES}
    return found


def start(command: list[str]) -> subprocess.Popen[str]:
    """Start a command as the leader of a process group of its own."""
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def kill_all(process: subprocess.Popen[str]) -> None:
    """kill -9 the command and everything that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def children(pid: int) -> list[int]:
    """Direct children of a process that encode: workers, not the helper process of multiprocessing."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
