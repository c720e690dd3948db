"""The files that a user's words name: paths, globs, directories, datasets; in a fixed order, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from megakor.corpus.inputs.kinds import DATASET, DATASET_PREFIX, KNOWN, kind_of
from megakor.corpus.inputs.records import MAXIMUM_FILES, InputFile
from megakor.errors import DataError

_WILDCARDS = frozenset("*?[")
_STATE = "state.json"
"""`datasets.Dataset.save_to_disk` writes it beside its Arrow files and lists them in it."""
_NO_TEXT = frozenset({_STATE, "dataset_info.json", "dataset_infos.json", "dataset_dict.json"})


def list_inputs(patterns: Sequence[str | Path]) -> list[InputFile]:
    """Every file that the patterns name, in the order of the patterns, by path inside a glob or a directory.

    A pattern is a path, a glob (`**` enters directories), a directory (searched through; hidden files and files of
    other kinds are passed over) or `hf:NAME[:CONFIG[:SPLIT]]`. Raises DataError for a pattern that names nothing, a
    named file of no known kind, and more files than a build can number.
    """
    found: dict[str, InputFile] = {}
    for pattern in map(str, patterns):
        try:
            for file in _named_by(pattern):
                found.setdefault(file.path if file.kind == DATASET else str(Path(file.path).resolve()), file)
                if len(found) > MAXIMUM_FILES:
                    raise DataError(f"{pattern}: more than {MAXIMUM_FILES:,} input files; join small files first.")
        except OSError as error:
            raise DataError(f"{error.filename or pattern}: cannot be read: {error.strerror}.") from error
    return list(found.values())


def _named_by(pattern: str) -> Iterator[InputFile]:
    if pattern.startswith(DATASET_PREFIX):
        yield InputFile(pattern, DATASET, None, 0)
        return
    path = Path(pattern)
    paths = [path] if path.exists() else _matches(path)
    if not paths:
        raise DataError(f"{pattern}: no such file; {KNOWN}. Quote a glob, or name a directory or hf:DATASET.")
    for one in paths:
        if one.is_dir():
            yield from _in_directory(one)
        else:
            yield _file(one)


def _matches(pattern: Path) -> list[Path]:
    """Files and directories that fit a glob, from its first part without a wildcard on."""
    if not _WILDCARDS & set(str(pattern)):
        return []
    fixed = next((parent for parent in pattern.parents if not _WILDCARDS & set(str(parent))), Path())
    matches = sorted(fixed.glob(str(pattern.relative_to(fixed))))
    files = [path for path in matches if not path.is_dir()]
    return files or matches


def _in_directory(directory: Path) -> list[InputFile]:
    files = [_file(path) for path in _known_files(directory)]
    if not files:
        raise DataError(f"{directory}: no file of text in this directory; {KNOWN}.")
    return files


def _known_files(directory: Path) -> Iterator[Path]:
    """Files of known kinds in a directory and below it, by path."""
    if (directory / _STATE).is_file():
        yield from _saved_dataset(directory)
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith((".", "_")) or path.name in _NO_TEXT:
            continue
        if path.is_dir():
            if not _leads_back(path):
                yield from _known_files(path)
        elif kind_of(path) is not None:
            yield path


def _leads_back(directory: Path) -> bool:
    """Whether it is a link to a directory that it stands in."""
    return directory.is_symlink() and directory.resolve() in directory.absolute().parent.resolve().joinpath("x").parents


def _saved_dataset(directory: Path) -> Iterator[Path]:
    """The Arrow files of a dataset on disk, without the cache files that `datasets` may leave beside them."""
    state = directory / _STATE
    try:
        names = [entry["filename"] for entry in json.loads(state.read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{state}: not a state file of a saved dataset ({error}); save the dataset again.") from error
    for name in names:
        if not (directory / Path(name).name).is_file():
            raise DataError(f"{directory / Path(name).name}: missing, though {state.name} lists it; copy it again.")
        yield directory / Path(name).name


def _file(path: Path) -> InputFile:
    kind = kind_of(path)
    if kind is None:
        raise DataError(f"{path}: the kind of this file cannot be told from its name; {KNOWN}.")
    if not path.is_file():
        raise DataError(f"{path}: not a regular file; a pipe cannot be read again after a restart.")
    return InputFile(str(path), *kind, path.stat().st_size)
