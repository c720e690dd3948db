"""Shards under their final names: what is there already, and the step that makes new ones visible.

Renames come one after another, so a marker in the work directory says that they have begun: the same command then
completes them. Validation shards go first: a training shard never stands without the text held out of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from megakor.corpus.build.job import AFRESH, Job
from megakor.corpus.build.plan import Plan, differences, record_of
from megakor.corpus.build.text_steps import TRAINING, VALIDATION
from megakor.corpus.inputs.records import InputFile
from megakor.corpus.manifest import InputRecord, Manifest, manifest_from_record, read_manifest, write_manifest
from megakor.corpus.metadata import SUFFIX, metadata_rows
from megakor.corpus.shard_writer import shard_file, shard_files, withdraw
from megakor.errors import ConfigError, DataError
from megakor.storage import hash_of_pieces, hash_pieces, publish

PUBLISH = "publish"
_PARTS = (".bin", ".parquet", ".idx")


def finished(plan: Plan, overwrite: bool) -> list[Manifest] | None:
    """The manifests of this very build if it is finished; None if there is something to do.

    Raises ConfigError for shards of another build under these names, unless they may be overwritten.
    """
    there = [path for prefix in _prefixes(plan).values() for path in shard_files(prefix) if path.exists()]
    if plan.work.exists() or not there:
        return None
    manifest = read_manifest(plan.prefix)
    if manifest is None:
        found = ["nothing says how it was made"]
    else:
        found = (
            differences(record_of(manifest), plan.record) or _changed(plan, manifest) or _damage(plan.prefix, manifest)
        )
    validation = read_manifest(plan.validation_prefix) if manifest is not None and manifest.holdout_share else None
    if manifest is not None and manifest.holdout_share and not found:
        found = (
            ["its validation shard is missing"] if validation is None else _damage(plan.validation_prefix, validation)
        )
    if found and not overwrite:
        raise ConfigError(f"{plan.prefix} is there already and differs: {'; '.join(found[:5])}. {AFRESH}")
    if found or manifest is None:
        return None
    return [manifest] if validation is None else [manifest, validation]


def begin_publishing(job: Job, manifests: Mapping[str, Manifest]) -> None:
    """Note the manifests by role; from here on an interrupted build is completed, not begun again."""
    job.mark(PUBLISH, "all", {role: json.loads(manifest.to_json()) for role, manifest in manifests.items()})


def complete_publishing(plan: Plan, job: Job) -> list[Manifest]:
    """Put the finished files in the place of older ones, manifests last, and remove the work directory.

    Raises StorageError.
    """
    manifests = {
        role: manifest_from_record(job.marker(PUBLISH, "all"), record)
        for role, record in job.read(PUBLISH, "all").items()
    }
    if TRAINING not in manifests or not set(manifests) <= {TRAINING, VALIDATION}:
        raise DataError(f"{job.marker(PUBLISH, 'all')} is damaged. Remove {job.directory} and start again.")
    prefixes = _prefixes(plan)
    if not job.is_done(PUBLISH, "withdrawn"):
        for prefix in prefixes.values():
            withdraw(prefix)
        job.mark(PUBLISH, "withdrawn", {})
    for role in (VALIDATION, TRAINING):
        for suffix in _PARTS if role in manifests else ():
            made = shard_file(job.directory / role, suffix)
            if made.exists():
                publish(made, shard_file(prefixes[role], suffix))
        if role in manifests and (missing := _damage(prefixes[role], manifests[role])):
            raise DataError(f"{missing[0]}, though its build had ended. Remove {job.directory} and build it again.")
    for role in (VALIDATION, TRAINING):
        if role in manifests:
            write_manifest(prefixes[role], manifests[role])
    job.remove()
    return [manifests[role] for role in (TRAINING, VALIDATION) if role in manifests]


def check_inputs_unchanged(plan: Plan, job: Job, stage: str) -> None:
    """Raises ConfigError for an input that was written to after tasks had read it, and whose content is another."""
    since = (job.directory / "job.json").stat().st_mtime
    newer = {number for number, file in enumerate(plan.files) if _written(file) > since}
    for task in plan.tasks:
        if task.portion.file in newer and job.is_done(stage, task.name):
            portion = task.portion
            if hash_pieces(Path(portion.path), portion.byte_start, portion.byte_stop) != job.read(stage, task.name).get(
                "pieces"
            ):
                raise ConfigError(f"{portion.path} has changed since the work in {plan.work} began. {AFRESH}")


def input_records(files: Sequence[InputFile], pieces: Mapping[int, list[str]]) -> list[InputRecord]:
    """For the manifest; `pieces` are the hashes of each file's pieces."""
    return [
        InputRecord(file.path, file.bytes, hash_of_pieces(pieces.get(number, [])) if _is_file(file) else "")
        for number, file in enumerate(files)
    ]


def _prefixes(plan: Plan) -> dict[str, Path]:
    return {TRAINING: plan.prefix, VALIDATION: plan.validation_prefix}


def _changed(plan: Plan, manifest: Manifest) -> list[str]:
    """Inputs that were written to after the manifest and have another content."""
    since = shard_file(plan.prefix, ".json").stat().st_mtime
    known = {entry.path: entry.sha256 for entry in manifest.inputs}
    return [
        f"{file.path} has another content"
        for file in plan.files
        if _written(file) > since and hash_of_pieces(hash_pieces(Path(file.path), 0, file.bytes)) != known[file.path]
    ]


def _damage(prefix: Path, manifest: Manifest) -> list[str]:
    sizes = {".bin": manifest.bin_bytes, ".idx": manifest.idx_bytes}
    broken = [
        path
        for suffix, size in sizes.items()
        if not (path := shard_file(prefix, suffix)).exists() or path.stat().st_size != size
    ]
    try:
        if metadata_rows(prefix) != manifest.documents:
            broken.append(shard_file(prefix, SUFFIX))
    except DataError:
        broken.append(shard_file(prefix, SUFFIX))
    return [f"{path} is {'not whole' if path.exists() else 'missing'}" for path in broken]


def _written(file: InputFile) -> float:
    try:
        if not _is_file(file):
            return 0.0
        status = Path(file.path).stat()
        return max(status.st_mtime, status.st_ctime)  # a copy may keep the old time of change
    except OSError as error:
        raise DataError(f"{file.path}: cannot be read: {error.strerror}.") from error


def _is_file(file: InputFile) -> bool:
    return file.bytes > 0 or Path(file.path).is_file()
