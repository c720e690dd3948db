"""The files of a trained tokenizer: whether those there are the ones asked for, and how new ones take their place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from megakor.corpus.inputs.listing import list_inputs
from megakor.corpus.inputs.records import InputFile
from megakor.corpus.tokenizer_options import CONFIG, REPORT, TOKENIZER, TokenizerOptions
from megakor.errors import ConfigError
from megakor.storage import hash_file, publish, storage_errors

REPORT_FORMAT = "megakor-tokenizer-report-1"
_NOT_OF_THE_TOKENIZER = ("inputs", "output", "overwrite")
_OPTION_NAMES = {"vocabulary_size": "--vocab-size"}
Files = Mapping[str, list[InputFile]]


def options_record(options: TokenizerOptions) -> dict[str, Any]:
    """For the report: every option that decides what the tokenizer is, as JSON."""
    record = {name: value for name, value in asdict(options).items() if name not in _NOT_OF_THE_TOKENIZER}
    return dict(json.loads(json.dumps(record)))


def inputs_record(options: TokenizerOptions, files: Files) -> dict[str, Any]:
    """For the report: of each language what was named, and how many files and bytes that is; the digest stands for the
    path and size of each."""
    return {
        language: {
            "named": list(map(str, options.inputs[language])),
            "files": len(found),
            "bytes": sum(file.bytes for file in found),
            "listing_sha256": hashlib.sha256(
                json.dumps([[file.path, file.bytes] for file in found]).encode("ascii")
            ).hexdigest(),
        }
        for language, found in files.items()
    }


def listed(options: TokenizerOptions) -> Files:
    """The files of each language. Raises DataError for inputs that are not there."""
    return {language: list_inputs(inputs) for language, inputs in options.inputs.items()}


def is_trained(options: TokenizerOptions, files: Files) -> bool:
    """Whether the output is this very training's; False where there is no tokenizer.

    Raises ConfigError for another tokenizer of this name.
    """
    there = [name for name in (TOKENIZER, CONFIG) if (options.output / name).exists()]
    if not there:
        return False
    reasons = _differences(options, files)
    if not reasons:
        return TOKENIZER in there
    if TOKENIZER not in there and (options.output / REPORT).exists():
        return False  # a killed training had begun to replace it
    raise ConfigError(
        f"{options.output / there[0]} is there already: {'; '.join(reasons[:5])}. Give another --output, or "
        "--overwrite to replace that tokenizer; shards that were built with it need it."
    )


def publish_tokenizer(directory: Path, output: Path) -> None:
    """Move the files from `directory` to their place, tokenizer.json last and an older one away first: nobody takes the
    files of two trainings for one tokenizer. Raises StorageError."""
    with storage_errors(output):
        (output / TOKENIZER).unlink(missing_ok=True)
    for name in (REPORT, CONFIG, TOKENIZER):
        publish(directory / name, output / name)


def _differences(options: TokenizerOptions, files: Files) -> list[str]:
    """Why the tokenizer that is there is not the one asked for, as clauses."""
    path = options.output / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        asked, read, sha256 = report["options"], report["inputs"], report["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return [f"no {REPORT} says how it was trained"]
    tokenizer = options.output / TOKENIZER
    if tokenizer.exists() and hash_file(tokenizer) != sha256:
        return [f"{REPORT} is of another one"]
    wanted = options_record(options)
    changed = [name for name in wanted if not isinstance(asked, dict) or asked.get(name) != wanted[name]]
    reasons = [f"its {_option(name)} was {_spelt(asked, name)}" for name in changed]
    reasons += ["it was trained on other inputs"] if read != inputs_record(options, files) else []
    return reasons or _newer(files, path)


def _newer(files: Files, report: Path) -> list[str]:
    """Inputs that were written to since."""
    made = report.stat().st_mtime_ns
    paths = [Path(file.path) for found in files.values() for file in found]
    return [f"{path} was written to since" for path in paths if path.exists() and path.stat().st_mtime_ns > made]


def _option(name: str) -> str:
    return _OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")


def _spelt(record: Any, name: str) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    return " ".join(map(str, value)) if isinstance(value, list) else "not given" if value is None else str(value)
