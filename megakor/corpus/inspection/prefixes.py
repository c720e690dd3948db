"""Which shards a command line names: prefixes, files of shards, or directories of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.shard_writer import SHARD_SUFFIXES
from megakor.errors import DataError


def named_shards(names: Sequence[Path]) -> list[Path]:
    """The prefixes, each once, in order. A directory stands for all shards in it and below.

    Raises DataError for a directory without any.
    """
    prefixes: dict[Path, None] = {}
    for name in names:
        if name.is_dir():
            found = sorted({_prefix(path) for suffix in (".idx", ".bin") for path in name.rglob(f"[!.]*{suffix}")})
            if not found:
                raise DataError(f"{name}: no shard (PREFIX.bin and PREFIX.idx) in this directory.")
            prefixes.update(dict.fromkeys(found))
        else:
            prefixes[_prefix(name)] = None
    return list(prefixes)


def _prefix(path: Path) -> Path:
    """Without the ending of a file of a shard; other dots belong to the prefix."""
    suffix = next((suffix for suffix in SHARD_SUFFIXES if path.name.endswith(suffix)), "")
    return path.with_name(path.name.removesuffix(suffix)) if path.name != suffix else path
