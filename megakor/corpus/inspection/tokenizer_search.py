"""The tokenizer that a shard was made with, looked for nearby by its hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from megakor.config.vocabulary import tokenizer_file
from megakor.storage import hash_file

_MOST_PLACES = 500


def find_tokenizer(prefix: Path, sha256: str) -> Path | None:
    """A tokenizer file with this SHA-256 in the directories of the shard, above it and here, or one below these."""
    for number, place in enumerate(_places(prefix)):
        if number >= _MOST_PLACES:
            return None
        file = tokenizer_file(place)
        try:
            if file.is_file() and hash_file(file) == sha256:
                return file
        except OSError:
            continue
    return None


def _places(prefix: Path) -> Iterator[Path]:
    here = prefix.resolve().parent
    seen = set()
    for directory in (here, here.parent, Path.cwd()):
        try:
            below = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError:
            below = []
        for place in (directory, *below):
            if place not in seen:
                seen.add(place)
                yield place
