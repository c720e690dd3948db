"""A build before it starts: inputs, the tasks they are cut into, the record that says whether two builds agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.corpus.build.options import PreprocessOptions
from megakor.corpus.build.settings import EncodingSettings, HoldoutSettings, TextRules
from megakor.corpus.holdout import HoldoutRule
from megakor.corpus.inputs.cutting import cut_all
from megakor.corpus.inputs.records import Fields, InputFile, Portion
from megakor.corpus.manifest import VALIDATION_SUFFIX, Manifest
from megakor.corpus.shard_writer import shard_file, shard_files, token_dtype
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError

WORK_SUFFIX = ".work"
SMALLEST_TASK, LARGEST_TASK = 8 << 20, 128 << 20
_TASKS = 128
"""Tasks that an input is cut into, if they are neither below nor above these sizes and all were alike."""


@dataclass(frozen=True)
class Task:
    """A portion and its name."""

    name: str
    portion: Portion


@dataclass(frozen=True)
class Plan:
    """One build of one key."""

    prefix: Path
    files: tuple[InputFile, ...]
    tasks: tuple[Task, ...]
    """In the order of the inputs."""
    record: dict[str, Any]
    """Options, tokenizer and inputs: builds with the same record give the same bytes."""
    task_bytes: int
    """Bytes of input of the largest tasks: what is done can only be gone on with if the tasks are the same."""
    settings: EncodingSettings
    """Still without a proven engine."""
    vocabulary_size: int

    @property
    def work(self) -> Path:
        """The work directory."""
        return shard_file(self.prefix, WORK_SUFFIX)

    @property
    def validation_prefix(self) -> Path:
        """Of the shard of held-out documents."""
        return shard_file(self.prefix, VALIDATION_SUFFIX)


def make_plan(options: PreprocessOptions, key: str, files: Sequence[InputFile], tokenizer: Tokenizer) -> Plan:
    """Raises DataError for an input that cannot be read, or a tokenizer without the end token that is asked for, and
    ConfigError for a prefix at which the build would overwrite what it reads."""
    prefix = options.prefix(key)
    _check_apart(options, prefix, files)
    task_bytes = options.task_bytes or _task_bytes(sum(file.bytes for file in files))
    return Plan(
        prefix=prefix,
        files=tuple(files),
        tasks=tuple(Task(f"{number:06d}", portion) for number, portion in enumerate(cut_all(files, task_bytes))),
        record={
            "options": {**options.record(), "json_key": key},
            "tokenizer_sha256": tokenizer.sha256,
            "inputs": [[file.path, file.bytes] for file in files],
        },
        task_bytes=task_bytes,
        settings=_settings(options, key, prefix, tokenizer),
        vocabulary_size=tokenizer.vocabulary_size,
    )


def _check_apart(options: PreprocessOptions, prefix: Path, files: Sequence[InputFile]) -> None:
    """Raises ConfigError where the build would overwrite what it reads, or read what it writes."""
    work = shard_file(prefix, WORK_SUFFIX).resolve()
    own = {path.resolve() for name in (prefix, shard_file(prefix, VALIDATION_SUFFIX)) for path in shard_files(name)}
    for path in (*(Path(file.path) for file in files), options.tokenizer, options.tokenizer / "tokenizer.json"):
        if path.resolve() in own or work in path.resolve().parents:
            raise ConfigError(
                f"--output-prefix {prefix}: {path} is read by this build and would be replaced by it, or was made by "
                "it. Choose a prefix elsewhere."
            )
    for directory in (Path(name) for name in options.inputs):
        if directory.is_dir() and directory.resolve() in prefix.resolve().parents:
            raise ConfigError(
                f"--output-prefix {prefix} lies inside the input directory {directory}, which would then hold other "
                "files than before. Choose a prefix elsewhere."
            )


def record_of(manifest: Manifest) -> dict[str, Any]:
    """The record of the build that made a finished shard."""
    return {
        "options": manifest.options,
        "tokenizer_sha256": manifest.tokenizer_sha256,
        "inputs": [[entry.path, entry.bytes] for entry in manifest.inputs],
    }


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """How two records differ, in phrases for people; empty if they agree."""
    found = []
    before, after = old.get("options", {}), new["options"]
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            found.append(f"{name} was {before.get(name)!r} and is {after.get(name)!r}")
    if old.get("tokenizer_sha256") != new["tokenizer_sha256"]:
        found.append("another tokenizer")
    found += _input_differences(_sizes(old), _sizes(new))
    return found or ([] if old.get("inputs") == new["inputs"] else ["the inputs are in another order"])


def _sizes(record: dict[str, Any]) -> dict[str, int]:
    return {path: size for path, size in record.get("inputs", [])}


def _input_differences(before: dict[str, int], after: dict[str, int]) -> list[str]:
    found = [f"{path} is new" for path in after if path not in before]
    found += [f"{path} is no longer among the inputs" for path in before if path not in after]
    return found + [
        f"{path} had {before[path]:,} bytes and has {after[path]:,}"
        for path in after
        if path in before and before[path] != after[path]
    ]


def _task_bytes(total: int) -> int:
    return min(max(total // _TASKS, SMALLEST_TASK), LARGEST_TASK)


def _settings(options: PreprocessOptions, key: str, prefix: Path, tokenizer: Tokenizer) -> EncodingSettings:
    return EncodingSettings(
        directory=shard_file(prefix, WORK_SUFFIX),
        tokenizer=options.tokenizer,
        engine="tokenizers",
        dtype=token_dtype(tokenizer.vocabulary_size).name,
        fields=Fields(key, tuple(sorted(options.read_fields())), options.text_unit),
        rules=TextRules(options.normalize, options.minimum_characters, options.maximum_characters, options.where),
        holdout=HoldoutSettings(
            HoldoutRule(options.holdout_share, options.holdout_seed),
            options.holdout_exclusive_sentences,
            options.holdout_minimum_characters,
        ),
        kept_fields=options.metadata_keys,
        conditioning=options.conditioning,
        eod_id=tokenizer.eod_id if options.append_eod else None,
        seed=options.shuffle_seed,
        language=options.language,
        language_key=options.language_key,
        source=options.source,
        source_key=options.source_key,
        on_error=options.on_error,
        max_errors=options.max_errors,
    )
