"""The directory of a quickstart: the run itself, with text, tokenizer and shards under data/."""

from __future__ import annotations

import shutil
from pathlib import Path

from megakor.corpus.sampling import SampleReport, prepare_user_sample
from megakor.errors import ConfigError
from megakor.storage import make_directory, storage_errors

MARK = ".quickstart"
"""A file that says that everything in the directory was made by a quickstart and may be made again."""
LANGUAGES = ("ko", "en")
SAMPLE_MEGABYTES = 6.0
"""Text of each language that a user's own files are cut down to."""
SAMPLE_SEED = 1234


def text_directory(output: Path) -> Path:
    """Where the documents are, a .jsonl file a language."""
    return output / "data" / "text"


def tokenizer_directory(output: Path) -> Path:
    """Where the tokenizer is."""
    return output / "data" / "tokenizer"


def shard_prefix(output: Path, name: str) -> Path:
    """The shard of a language."""
    return output / "data" / name


def clear_output(output: Path) -> None:
    """Make an empty directory, or empty the one of an earlier quickstart.

    Raises:
        ConfigError: the directory holds something that no quickstart made.
        StorageError: it cannot be emptied or written.
    """
    if output.is_dir() and any(output.iterdir()) and not (output / MARK).is_file():
        raise ConfigError(f"{output} holds files that no quickstart made. Name an empty or a new directory (--output).")
    with storage_errors(output):
        if output.is_dir():
            shutil.rmtree(output)
    make_directory(output)
    with storage_errors(output):
        (output / MARK).touch()


def sample_user_files(output: Path, korean: Path, english: Path) -> list[SampleReport]:
    """Write data/text/{ko,en}.jsonl from inputs of any kind that a user has. Raises DataError, StorageError."""
    paths = dict(zip(LANGUAGES, ([korean], [english]), strict=True))
    return prepare_user_sample(paths, text_directory(output), SAMPLE_MEGABYTES, SAMPLE_SEED)
