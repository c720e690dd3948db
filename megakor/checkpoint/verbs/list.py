"""`megakor checkpoint list`: what a run has, oldest first."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from megakor.checkpoint.inventory import Entry, checkpoints_of, inventory
from megakor.errors import ExitCode
from megakor.text_table import aligned, harmless
from megakor.units import data_size

HEAD = ("checkpoint", "state", "tokens", "step", "size", "saved", "written by")


def main(arguments: Sequence[str]) -> int:
    """Print every checkpoint of a run, by the names and sizes of its files."""
    given = _parser().parse_args(arguments)
    entries = inventory(checkpoints_of(given.run), "sizes")
    if given.json:
        print(json.dumps([record(entry) for entry in entries], ensure_ascii=False, indent=2))
    else:
        lines = aligned([HEAD, *(_row(entry) for entry in entries)], left=2) if entries else ["no checkpoint"]
        lines += [sentence for entry in entries for sentence in remarks(entry)]
        print("\n".join(map(harmless, lines)))
    return ExitCode.DONE


def record(entry: Entry) -> dict[str, Any]:
    """One of them for programs."""
    manifest = entry.manifest
    described = {} if manifest is None else {
        "step": manifest.step,
        "bytes": manifest.bytes,
        "saved_at": manifest.saved_at,
        "final": manifest.final,
        "layout": dict(manifest.layout),
        "versions": dict(manifest.versions),
    }  # fmt: skip
    found = {"damage": list(entry.damage), "foreign_files": list(entry.foreign)}
    return {"path": str(entry.path), "state": entry.state, "tokens": entry.tokens, **described, **found}


def remarks(entry: Entry) -> list[str]:
    """A sentence for everything that is wrong with it or does not belong there."""
    foreign = (
        [f"{entry.path}: {', '.join(entry.foreign)}: not of this checkpoint; never read."] if entry.foreign else []
    )
    return [*entry.damage, *foreign]


def _row(entry: Entry) -> tuple[str, ...]:
    manifest, tokens = entry.manifest, "" if entry.tokens is None else f"{entry.tokens:,}"
    if manifest is None:
        return (entry.path.name, entry.state, tokens, "", "", "", "")
    layout = " x ".join(f"{name} {size}" for name, size in manifest.layout.items() if type(size) is int and size > 1)
    size, saved = data_size(manifest.bytes), manifest.saved_at.replace("T", " ")[:16]
    return (entry.path.name, entry.state, tokens, f"{manifest.step:,}", size, saved, layout or "1 rank")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor checkpoint list",
        description="The checkpoints of a run by rising tokens, and what else lies among them. Compares names and "
        "sizes; `megakor checkpoint verify` reads the files.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser
