"""Checkpoints without tensors, and what can befall them: for tests of everything that needs no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from megakor.checkpoint.files import write_durably
from megakor.checkpoint.listing import SET_ASIDE, checkpoint_name
from megakor.checkpoint.manifest import MANIFEST, Manifest, read_manifest, write_manifest

PART = "__0_0.distcp"
CONTENTS = {PART: b"0" * 1000, "__1_0.distcp": b"1" * 10, "state.json": b"{}"}


def make_checkpoint(directory: Path, tokens: int, state: bytes = CONTENTS["state.json"]) -> Path:
    """A whole one of 1,012 bytes."""
    path = directory / checkpoint_name(tokens)
    path.mkdir(parents=True)
    contents = {**CONTENTS, "state.json": state}
    manifest = Manifest(
        step=tokens // 10,
        tokens=tokens,
        final=False,
        model={"layers": 2},
        layout={"tensor": 2, "data": 1},
        versions={"megakor": "0"},
        saved_at="2026-01-01T00:00:00+00:00",
        files=tuple(write_durably(path / name, data) for name, data in contents.items()),
    )
    write_manifest(path, manifest)
    return path


def cut_short(path: Path) -> None:
    (path / PART).write_bytes(b"0" * 999)


def flip_a_bit(path: Path) -> None:
    (path / PART).write_bytes(b"0" * 500 + b"1" + b"0" * 499)


def lose_a_file(path: Path) -> None:
    (path / PART).unlink()


def put_a_pipe_in_the_place_of_a_file(path: Path) -> None:
    """A reader that opens it would wait for ever. The manifest agrees with its size."""
    (path / PART).unlink()
    os.mkfifo(path / PART)
    manifest = read_manifest(path)
    files = tuple(replace(file, bytes=0) if file.name == PART else file for file in manifest.files)
    (path / MANIFEST).unlink()
    write_manifest(path, replace(manifest, files=files))


def damage_the_manifest(path: Path) -> None:
    content = bytearray((path / MANIFEST).read_bytes())
    content[content.index(b'"tokens": ') + 10] ^= 1
    (path / MANIFEST).write_bytes(content)


def empty_the_manifest(path: Path) -> None:
    (path / MANIFEST).write_bytes(b"")


def nest_the_manifest(path: Path) -> None:
    """Deeper than Python's parser goes."""
    (path / MANIFEST).write_bytes(b"[" * 200_000)


def write_a_manifest_of_another_program(path: Path) -> None:
    (path / MANIFEST).write_text(json.dumps({"files": ["a"]}))


def leave_unfinished(path: Path) -> None:
    (path / MANIFEST).unlink()


def set_aside(path: Path) -> None:
    (path / MANIFEST).rename(path / SET_ASIDE)


DAMAGE: tuple[tuple[Callable[[Path], None], str], ...] = (
    (cut_short, "damaged"),
    (flip_a_bit, "damaged"),
    (lose_a_file, "damaged"),
    (put_a_pipe_in_the_place_of_a_file, "damaged"),
    (damage_the_manifest, "unreadable"),
    (empty_the_manifest, "unreadable"),
    (nest_the_manifest, "unreadable"),
    (write_a_manifest_of_another_program, "unreadable"),
    (leave_unfinished, "unfinished"),
    (set_aside, "set aside"),
)
"""What can befall a checkpoint, and what it is called then."""
