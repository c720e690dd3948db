"""The files that a user's words name: paths, globs, directories, datasets; in a fixed order, each once."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from megakor.corpus.inputs.kinds import DATASET, DATASET_PREFIX, KNOWN, SAVED, SAVED_SPLITS, SAVED_STATE, kind_of
from megakor.corpus.inputs.records import MAXIMUM_FILES, InputFile
from megakor.errors import DataError
from megakor.units import counted

_WILDCARDS = frozenset("*?[")
_NO_TEXT = frozenset({*SAVED, "dataset_info.json", "dataset_infos.json"})
_ABOUT = frozenset({"readme", "license", "licence"})
"""Files about the data, which stand beside them in a directory. A name or a glob takes them all the same."""
_ENDINGS_SHOWN = 5
Log = Callable[[str], None]


def list_inputs(patterns: Sequence[str | Path], log: Log = lambda line: None) -> list[InputFile]:
    """Every file that the patterns name, in the order of the patterns, by path inside a glob or a directory.

    A pattern is a path, a glob (`**` enters directories), a directory (searched through; hidden files are passed over)
    or `hf:NAME[:CONFIG[:SPLIT]]`. Files of other kinds that a glob or a directory holds are left out and counted to
    `log`. Raises DataError for a pattern that names nothing, a named file of no known kind, a directory with several
    splits of a dataset, and more files than a build can number.
    """
    found: dict[str, InputFile] = {}
    for pattern in map(str, patterns):
        try:
            for file in _named_by(pattern, log):
                found.setdefault(file.path if file.kind == DATASET else str(Path(file.path).resolve()), file)
                if len(found) > MAXIMUM_FILES:
                    raise DataError(f"{pattern}: more than {MAXIMUM_FILES:,} input files; join small files first.")
        except OSError as error:
            raise DataError(f"{error.filename or pattern}: cannot be read: {error.strerror}.") from error
    return list(found.values())


def _named_by(pattern: str, log: Log) -> Iterator[InputFile]:
    if pattern.startswith(DATASET_PREFIX):
        if not pattern.removeprefix(DATASET_PREFIX).partition(":")[0].strip():
            raise DataError(f"{pattern}: names no dataset; write hf:NAME[:CONFIG[:SPLIT]].")
        yield InputFile(pattern, DATASET, None, 0)
        return
    if not pattern.strip():
        raise DataError("an empty name among the inputs: is a variable of the shell unset?")
    path = Path(pattern)
    paths = [path] if path.exists() or path.is_symlink() else _matches(path)
    if not paths:
        raise DataError(f"{pattern}: no such file; {KNOWN}. Quote a glob, or name a directory or hf:DATASET.")
    known = [one for one in paths if _is_known(one)]
    left_out = Counter(_ending(one) for one in paths if known and not _is_known(one))
    for one in known or paths:
        if one.is_dir():
            yield from _in_directory(one, left_out, log)
        else:
            yield _file(one)
    if left_out:
        log(f"{pattern}: {_left_out(left_out)}.")


def _is_known(path: Path) -> bool:
    return path.is_dir() or kind_of(path) is not None


def _ending(path: Path) -> str:
    return path.name if path.stem.lower() in _ABOUT else path.suffix or path.name


def _left_out(endings: Counter[str]) -> str:
    """What was passed over, by the ends of the names."""
    shown = ", ".join(f"{ending} {count:,}" for ending, count in endings.most_common(_ENDINGS_SHOWN))
    more = ", ..." if len(endings) > _ENDINGS_SHOWN else ""
    return f"left out {counted(endings.total(), 'file')} of other kinds ({shown}{more})"


def _matches(pattern: Path) -> list[Path]:
    """Files and directories that fit a glob, from its first part without a wildcard on."""
    if not _WILDCARDS & set(str(pattern)):
        return []
    fixed = next((parent for parent in pattern.parents if not _WILDCARDS & set(str(parent))), Path())
    try:
        matches = sorted(fixed.glob(str(pattern.relative_to(fixed))))
    except ValueError as error:
        raise DataError(f"{pattern}: not a glob ({error}).") from error
    if "**" in pattern.parts:
        _refuse_unreadable(fixed)
    files = [path for path in matches if not path.is_dir()]
    return files or matches


def _refuse_unreadable(directory: Path) -> None:
    """Raises OSError for a directory below that cannot be entered: a glob would pass over it without a word."""

    def refuse(error: OSError) -> None:
        raise error

    for _ in os.walk(directory, onerror=refuse):
        pass


def _in_directory(directory: Path, left_out: Counter[str], log: Log) -> list[InputFile]:
    files = [_file(path) for path in _known_files(directory, left_out, log)]
    if not files:
        found = f" ({_left_out(left_out)})" if left_out else ""
        raise DataError(f"{directory}: no file of text in this directory{found}; {KNOWN}.")
    return files


def _known_files(directory: Path, left_out: Counter[str], log: Log) -> Iterator[Path]:
    """Files of known kinds in a directory and below it, by path."""
    if (directory / SAVED_STATE).is_file():
        yield from _saved_dataset(directory)
        return
    if (directory / SAVED_SPLITS).is_file():
        split = _only_split(directory)
        log(f"{directory}: a saved dataset of one split, {split}")
        yield from _saved_dataset(directory / split)
        return
    for path in sorted(directory.iterdir()):
        if path.name.startswith((".", "_")) or path.name in _NO_TEXT:
            continue
        if path.is_dir():
            if not _leads_back(path):
                yield from _known_files(path, left_out, log)
        elif kind_of(path) is None or path.stem.lower() in _ABOUT:
            left_out[_ending(path)] += 1
        else:
            yield path


def _leads_back(directory: Path) -> bool:
    """Whether it is a link to a directory that it stands in."""
    return directory.is_symlink() and directory.resolve() in directory.absolute().parent.resolve().joinpath("x").parents


def _only_split(directory: Path) -> str:
    """The split of a saved DatasetDict. Raises DataError where there are several: training must not eat a test."""
    path = directory / SAVED_SPLITS
    try:
        splits = [str(name) for name in json.loads(path.read_bytes())["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a list of splits ({error}); save the dataset again.") from error
    if len(splits) != 1:
        raise DataError(
            f"{directory}: a saved dataset with the splits {', '.join(splits) or 'none'}; name the one to read, "
            f"such as {directory / (splits or ['train'])[0]}"
        )
    return splits[0]


def _saved_dataset(directory: Path) -> Iterator[Path]:
    """The Arrow files of a dataset on disk, without the cache files that `datasets` may leave beside them."""
    state = directory / SAVED_STATE
    try:
        names = [entry["filename"] for entry in json.loads(state.read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{state}: not a state file of a saved dataset ({error}); save the dataset again.") from error
    for name in names:
        if not (directory / Path(name).name).is_file():
            raise DataError(f"{directory / Path(name).name}: missing, though {state.name} lists it; copy it again.")
        yield directory / Path(name).name


def _file(path: Path) -> InputFile:
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: a link to nothing ({path.readlink()}); remove it, or put the file there.")
    kind = kind_of(path)
    if kind is None:
        raise DataError(f"{path}: the kind of this file cannot be told from its name; {KNOWN}.")
    if not path.is_file():
        raise DataError(f"{path}: not a regular file; a pipe cannot be read again after a restart.")
    return InputFile(str(path), *kind, path.stat().st_size)
