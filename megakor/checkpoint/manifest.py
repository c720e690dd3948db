"""The manifest of a checkpoint: what it holds, of which model, and how every file has to look. Needs no torch.

It is written last and under a temporary name, so a directory that has one is whole, and a directory without is not a
checkpoint at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megakor.checkpoint.files import FileRecord
from megakor.config.parameters import WITHOUT_WEIGHTS
from megakor.errors import ConfigError, StorageError
from megakor.storage import write_text

FORMAT = "megakor-checkpoint-1"
MANIFEST = "manifest.json"


_KINDS = {"step": int, "tokens": int, "final": bool, "model": dict, "layout": dict, "versions": dict, "saved_at": str}
"""What is inside the fields of a manifest. A checksum keeps accidents out, not what somebody wrote on purpose."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says."""

    step: int
    tokens: int
    final: bool
    """Whether the run ended here."""
    model: Mapping[str, Any]
    """The description of the model: whoever loads compares it with its own."""
    layout: Mapping[str, int]
    """Degrees of parallelism of the run that wrote it."""
    versions: Mapping[str, str]
    saved_at: str
    """UTC, ISO 8601."""
    files: tuple[FileRecord, ...]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Turn a directory of files into a checkpoint. Raises StorageError."""
    content = {"format": FORMAT, **asdict(manifest)}
    content["checksum"] = _checksum(content)
    write_text(directory / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def read_manifest(directory: Path) -> Manifest:
    """Read and check `manifest.json`.

    Raises:
        StorageError: the manifest is missing, cut short, altered, or of an unknown format.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StorageError(f"{directory}: there is no {MANIFEST}, so this is not a whole checkpoint.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StorageError(f"{path}: its format is not {FORMAT}; it was written by another version or another program.")
    if content.pop("checksum", None) != _checksum(content):
        raise StorageError(
            f"{path}: its content does not agree with its own checksum; it was altered after it was written."
        )
    del content["format"]
    try:
        files = tuple(_record(file) for file in content.pop("files"))
        manifest = Manifest(files=files, **content)
    except (TypeError, KeyError) as error:
        raise StorageError(f"{path}: a field is missing or unknown ({error}).") from error
    if wrong := [name for name, kind in _KINDS.items() if type(getattr(manifest, name)) is not kind]:
        raise StorageError(f"{path}: {', '.join(wrong)}: not what such a field holds.")
    if len({file.name for file in files}) < len(files):
        raise StorageError(f"{path}: names a file twice.")
    return manifest


def check_model(name: str, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises ConfigError with every differing field when a checkpoint describes another model than the run's.

    Fields that shape no weight may differ.
    """
    saved, wanted = json.loads(json.dumps(dict(saved))), json.loads(json.dumps(dict(wanted)))
    absent = "not there"
    compared = sorted({*saved, *wanted} - {*WITHOUT_WEIGHTS})
    different = [key for key in compared if saved.get(key, absent) != wanted.get(key, absent)]
    if different:
        lines = [
            f"  {key}: {saved.get(key, absent)!r} in the checkpoint, {wanted.get(key, absent)!r} in the configuration"
            for key in different
        ]
        raise ConfigError(
            f"Checkpoint {name} is of another model:\n" + "\n".join(lines) + "\n"
            "Set these keys as they are in the checkpoint, or choose another run.dir for the new model."
        )


def _record(file: Mapping[str, Any]) -> FileRecord:
    record = FileRecord(**file)
    if (type(record.name), type(record.bytes), type(record.sha256)) != (str, int, str):
        raise TypeError(f"a file described as {file}")
    if record.name in ("", "..") or Path(record.name).name != record.name:
        raise StorageError(
            f"{MANIFEST}: {record.name!r} is not a plain file name; a checkpoint's files lie beside its manifest."
        )
    return record


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
