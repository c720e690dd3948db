"""PREFIX.json, the manifest beside a shard: what the tokens are, which text they came from, how it was held out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from megakor.config.data_paths import VALIDATION_SUFFIX as VALIDATION_SUFFIX
from megakor.corpus.manifest_types import check_text, check_types
from megakor.corpus.shard_writer import shard_file
from megakor.errors import DataError
from megakor.storage import write_text

FORMAT = "megakor-shard-1"
_DIGEST = "manifest_sha256"


@dataclass(frozen=True)
class InputRecord:
    """One input file: its path as given, its size and hash as it lies on the disk (compressed, if it is).

    The hash is that of `megakor.storage.hash_of_pieces`: for a file of at most 4 MiB its SHA-256. Empty for an input
    that is no file.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Count:
    """Documents, tokens and bytes of text of one language or source; bytes are None where they are not known."""

    documents: int
    tokens: int
    text_bytes: int | None


@dataclass(frozen=True)
class HoldoutRecord:
    """How validation text was chosen, and what the removal of shared sentences took from it."""

    seed: int
    exclusive_sentences: bool
    minimum_characters: int = 0
    sentences_removed: int = 0
    documents_dropped: int = 0


@dataclass(frozen=True)
class Manifest:
    """What PREFIX.json says."""

    tokenizer_sha256: str
    vocabulary_size: int
    language: str
    tokens: int
    documents: int
    text_bytes: int | None
    """UTF-8 bytes of the text that the tokens stand for; the end-of-document token stands for none.
    None: not known."""
    dtype: str
    bin_bytes: int
    idx_bytes: int
    append_eod: bool
    inputs: list[InputRecord]
    holdout_share: float
    role: str
    """training or validation"""
    json_key: str = "text"
    shuffle_seed: int | None = None
    """None: the documents are in the order of the input files."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Documents that were left out, by reason: empty, too short, json, missing key, ..."""
    holdout: HoldoutRecord | None = None
    counts: dict[str, dict[str, Count]] = field(default_factory=dict)
    """"language" and "source" -> name -> what there is of it; at most 1,000 names each."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of the build that decide what the tokens are, such as the normalisation."""
    checksums: dict[str, str] = field(default_factory=dict)
    """"bin", "idx" and "parquet" -> hash of the file, as for the inputs."""
    operations: list[dict[str, Any]] = field(default_factory=list)
    """What made this shard out of others, oldest first: name, options, inputs."""
    padding_tokens: int = 0
    """Tokens that fill rows of a regrouped shard; `tokens` does not count them."""
    format: str = field(default=FORMAT)

    def to_json(self) -> str:
        """What `manifest_from_record` reads back, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2, sort_keys=True)


def write_manifest(prefix: Path, manifest: Manifest) -> None:
    """Write PREFIX.json atomically; do it last, it says that the shard is whole. Raises StorageError."""
    record = asdict(manifest)
    record[_DIGEST] = _digest(record)
    text = json.dumps(record, ensure_ascii=False, indent=2, sort_keys=True)
    write_text(shard_file(prefix, ".json"), text + "\n")


def is_as_written(prefix: Path) -> bool | None:
    """Whether PREFIX.json says what `write_manifest` wrote; None for a manifest without a digest.

    For `megakor corpus verify`: elsewhere a manifest that somebody corrected by hand is taken at its word.
    """
    record = json.loads(shard_file(prefix, ".json").read_text(encoding="utf-8"))
    return record[_DIGEST] == _digest(record) if _DIGEST in record else None


def _digest(record: dict[str, Any]) -> str:
    """SHA-256 over every other value, so that it does not depend on spaces and the order of keys."""
    rest = {key: value for key, value in record.items() if key != _DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("ascii")).hexdigest()


def read_manifest(prefix: Path) -> Manifest | None:
    """The manifest of a shard, or None without one (Megatron-LM writes none). Raises DataError if it is broken."""
    path = shard_file(prefix, ".json")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the manifest cannot be read ({error}); build the shard again.") from error
    return manifest_from_record(path, record)


def manifest_from_record(path: Path, record: Any) -> Manifest:
    """A manifest from its JSON; `path` is where it stands. Raises DataError if it is broken."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"{path}: not a manifest of format {FORMAT}; build the shard again or remove this file.")
    known = {entry.name for entry in fields(Manifest)}
    values = {key: value for key, value in record.items() if key in known}
    try:
        check_text(values)
        if not isinstance(record["inputs"], list):
            raise TypeError("inputs are no list")
        values["inputs"] = [InputRecord(**entry) for entry in record["inputs"]]
        if record.get("holdout"):
            values["holdout"] = HoldoutRecord(**record["holdout"])
        values["counts"] = {
            of: {name: Count(**count) for name, count in names.items()}
            for of, names in record.get("counts", {}).items()
        }
        manifest = Manifest(**values)
        check_types(manifest)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: the manifest is incomplete ({error}); build the shard again.") from error
    return manifest
