"""`megakor checkpoint verify`: is every byte still what was written?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from megakor.checkpoint.inventory import Entry, checkpoints_of, examine
from megakor.checkpoint.listing import checkpoint_directories
from megakor.checkpoint.manifest import MANIFEST
from megakor.checkpoint.verbs.list import record, remarks
from megakor.errors import ExitCode
from megakor.text_table import harmless
from megakor.units import data_size


def main(arguments: Sequence[str]) -> int:
    """Compare checkpoints with their manifests; exit code 74 when one is not whole."""
    given = _parser().parse_args(arguments)
    how = "sizes" if given.sizes else "hashes"
    entries = []
    for path in _directories(given.places):
        entries.append(examine(path, how))  # type: ignore[arg-type]
        if not given.json:
            print("\n".join(_lines(entries[-1])), flush=True)
    if given.json:
        print(json.dumps([record(entry) for entry in entries], ensure_ascii=False, indent=2))
    elif not entries:
        print("no checkpoint")
    return ExitCode.DONE if all(entry.state == "whole" for entry in entries) else ExitCode.STORAGE


def _directories(places: Sequence[Path]) -> Iterator[Path]:
    """Oldest first for each run. A checkpoint may be named by itself, wherever it lies."""
    for place in places:
        if (place / MANIFEST).exists():
            yield place
        else:
            yield from checkpoint_directories(checkpoints_of(place))


def _lines(entry: Entry) -> list[str]:
    size = f", {data_size(entry.manifest.bytes)}" if entry.manifest is not None else ""
    lines = [f"{entry.path}: {entry.state}{size}", *(f"  {sentence}" for sentence in remarks(entry))]
    return [harmless(line) for line in lines]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor checkpoint verify",
        description="Read every file of the checkpoints of runs, or of single checkpoints, and compare its size and "
        "SHA-256 with the manifest. Changes nothing. Exit code 74 when one is not whole.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="PATH", help="run directories, or checkpoints")
    parser.add_argument("--sizes", action="store_true", help="compare names and sizes only")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser
