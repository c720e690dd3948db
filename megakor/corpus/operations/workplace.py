"""Where an operation writes until its output is whole: PREFIX.scratch, a directory beside the output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.corpus.shard_writer import SHARD_SUFFIXES, shard_file, withdraw
from megakor.errors import ConfigError, StorageError
from megakor.lock import NAME as LOCK
from megakor.lock import is_lock, lock_directory
from megakor.storage import publish, storage_errors

SUFFIX = ".scratch"
_INDEX = ".idx"
_IN_ORDER = (*(suffix for suffix in reversed(SHARD_SUFFIXES) if suffix != _INDEX), _INDEX)


@dataclass(frozen=True)
class Output:
    """Where an operation writes."""

    prefix: Path
    overwrite: bool = False
    """Whether a shard of this name may be replaced."""
    with_validation: bool = False
    """Whether PREFIX.validation is made by the same command."""


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """An empty directory on the file system of the output, of one process at a time, that is removed at the end.

    What a killed process left there is removed at the start.

    Raises:
        ConfigError: there is a directory of this name that is not of an operation.
        StorageError: it cannot be made, or another process works on this output.
    """
    directory = shard_file(output, SUFFIX)
    _refuse_foreign(directory)
    lock = lock_directory(directory, "Wait for it or choose another output.")
    try:
        _empty(directory)
        yield directory
    finally:
        with suppress(StorageError, OSError):
            _empty(directory)
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()


def remove_leftovers(output: Path) -> None:
    """Remove the workplace of a process that was killed after its output was whole; one in use stays."""
    if shard_file(output, SUFFIX).is_dir():
        with suppress(ConfigError, StorageError), workplace(output):
            pass


def check_place(output: Output, inputs: Sequence[Path]) -> None:
    """Refuse an output that is an input, or that an unfinished build is going to write. Raises ConfigError."""
    prefix = output.prefix
    if any(prefix.resolve() == path.resolve() for path in inputs):
        raise ConfigError(f"{prefix} is an input too; give another output.")
    if shard_file(prefix, ".work").exists():
        raise ConfigError(f"{prefix}.work: a build of this shard is not finished; finish it or give another output.")


def check_free(output: Output) -> None:
    """Refuse an output that would hide or destroy something.

    Raises:
        ConfigError: it is there already and may not be replaced, or an older validation shard would stand beside it.
    """
    prefix = output.prefix
    there = [path for suffix in SHARD_SUFFIXES if (path := shard_file(prefix, suffix)).exists()]
    # A killed process that was moving files out of its workplace leaves tokens without an index: no shard of anybody.
    torn = shard_file(prefix, SUFFIX).exists() and not shard_file(prefix, _INDEX).exists()
    if there and not (output.overwrite or torn):
        raise ConfigError(
            f"{there[-1]} exists, and this command made nothing of the kind from these inputs; give another output, or "
            "--overwrite to replace the shard."
        )
    validation = shard_file(prefix, VALIDATION_SUFFIX + ".idx")
    if validation.exists() and not output.with_validation:
        raise ConfigError(
            f"{validation} would stand beside a training shard that it may not be held out from; remove it, give "
            "another output, or make both with --with-validation."
        )


def publish_shards(directory: Path, outputs: Sequence[Path]) -> None:
    """Move whole shards out of the workplace, each under its own name, the index last: without it nobody takes the
    other files for a shard.

    Shards of these names that `--overwrite` replaces are taken away at this moment, not before. Raises StorageError.
    """
    for output in outputs:
        withdraw(output)
    for output in outputs:
        for suffix in _IN_ORDER:
            whole = shard_file(directory / output.name, suffix)
            if whole.exists():
                publish(whole, shard_file(output, suffix))


def _refuse_foreign(directory: Path) -> None:
    """Raises ConfigError for files in a directory without the lock that every operation leaves there first."""
    try:
        empty = not directory.is_dir() or not any(directory.iterdir())
        if not empty and not is_lock(directory / LOCK):
            raise ConfigError(
                f"{directory} is where this command would work, and it holds files of somebody else; move them or give "
                "another output."
            )
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be read ({error.strerror}); give another output.") from error


def _empty(directory: Path) -> None:
    """Remove all but the lock, which says whose the rest is."""
    for path in directory.iterdir():
        if path.name != LOCK:
            _remove(path)


def _remove(path: Path) -> None:
    with storage_errors(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
