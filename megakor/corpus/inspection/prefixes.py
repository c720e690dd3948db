"""Which shards a command line names: prefixes, files of shards, or directories of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from megakor.corpus.shard_writer import SHARD_SUFFIXES, shard_file
from megakor.errors import DataError


def named_shards(names: Sequence[Path]) -> list[Path]:
    """The prefixes, each once, in order. A directory stands for all shards in it and below.

    Raises DataError for a directory without any, and for one that cannot be read.
    """
    prefixes: dict[Path, None] = {}
    for name in names:
        try:
            prefixes.update(dict.fromkeys(_named(name)))
        except OSError as error:
            raise DataError(f"{error.filename or name}: cannot be read: {error.strerror}.") from error
    return list(prefixes)


def _named(name: Path) -> list[Path]:
    """Raises OSError."""
    if not name.is_dir():
        shard_file(_prefix(name), SHARD_SUFFIXES[0]).exists()  # tells a directory that may not be entered
        return [_prefix(name)]
    found = sorted({_prefix(path) for path in _files(name) if path.suffix in (".idx", ".bin")})
    if not found:
        raise DataError(f"{name}: no shard (PREFIX.bin and PREFIX.idx) in this directory.")
    return found


def _files(directory: Path) -> Iterator[Path]:
    """Files in a directory and below, without the hidden ones. Raises OSError for what cannot be read."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    for place, _, names in os.walk(directory, onerror=refuse):
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _prefix(path: Path) -> Path:
    """Without the ending of a file of a shard; other dots belong to the prefix."""
    suffix = next((suffix for suffix in SHARD_SUFFIXES if path.name.endswith(suffix)), "")
    return path.with_name(path.name.removesuffix(suffix)) if path.name != suffix else path
