"""Builds of shards by the real command, for tests that interrupt them or share them out."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

from megakor.corpus.sample import LANGUAGES, write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer

TOOL = Path(__file__).parents[2] / "tools" / "preprocess_data.py"
FILES = (".bin", ".idx", ".parquet", ".json")
REAL_TEXT = Path(__file__).parents[3] / "shared" / "corpus"
"""Text that people wrote, LANGUAGE.jsonl.gz with `text` and `id`, where some lies beside the repository."""
_MEGABYTES, _EVERY = 1.0, 5


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
    _write_text(directory / "text")
    inputs = {language: [str(directory / "text" / f"{language}.jsonl")] for language in LANGUAGES}
    train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 2000, max_megabytes=0.6), lambda _: None)
    done = subprocess.run(words(directory, directory / "calm" / "out"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def _write_text(directory: Path) -> None:
    """1 MB of each language: one in five of the real documents, where there are any, else the sample corpus."""
    if not REAL_TEXT.is_dir():
        write_sample_corpus(directory, _MEGABYTES, 7)
        return
    directory.mkdir()
    for language in LANGUAGES:
        with (
            gzip.open(REAL_TEXT / f"{language}.jsonl.gz") as lines,
            (directory / f"{language}.jsonl").open("wb") as file,
        ):
            for line in islice(lines, 0, None, _EVERY):
                if file.tell() < _MEGABYTES * 1e6:
                    file.write(line)


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
