"""Whether an output is already what a command would make: then there is nothing to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from megakor.corpus.manifest import Manifest, read_manifest
from megakor.corpus.shard_writer import SHARD_SUFFIXES, shard_file
from megakor.errors import DataError


def finished(prefix: Path, operations: Sequence[dict[str, Any]], inputs: Sequence[Path]) -> Manifest | None:
    """The manifest of a whole shard with this very history; None where there is something to do.

    `operations` is the history that the command would write, fingerprints of its inputs included. These do not cover
    metadata, so no file of `inputs` may be newer than the shard.
    """
    try:
        manifest = read_manifest(prefix)
    except DataError:
        return None
    if manifest is None or manifest.operations != json.loads(json.dumps(list(operations))):
        return None
    made = shard_file(prefix, ".json").stat().st_mtime_ns
    return manifest if _is_whole(prefix, manifest) and all(_written(path) <= made for path in inputs) else None


def _is_whole(prefix: Path, manifest: Manifest) -> bool:
    sizes = {".bin": manifest.bin_bytes, ".idx": manifest.idx_bytes}
    files = {suffix: shard_file(prefix, suffix) for suffix in (*sizes, *(f".{name}" for name in manifest.checksums))}
    return all(
        path.is_file() and path.stat().st_size == sizes.get(of, path.stat().st_size) for of, path in files.items()
    )


def _written(prefix: Path) -> int:
    """When a file of this shard was last written to, in nanoseconds."""
    files = (shard_file(prefix, suffix) for suffix in SHARD_SUFFIXES if suffix != ".json")
    return max((path.stat().st_mtime_ns for path in files if path.exists()), default=0)
