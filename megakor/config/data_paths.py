"""Which files of a run are on this machine. Only names are looked at; nothing is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from megakor.config.problems import Problem
from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.config.vocabulary import tokenizer_file

VALIDATION_SUFFIX = ".validation"
"""What the names of held-out shards have behind those of their source."""


@dataclass(frozen=True)
class DataPath:
    """A path of the config, and whether what the run needs of it is here."""

    key: str
    path: str
    found: bool
    missing: str
    """What would have to be there."""


def check_data_paths(config: Config) -> list[DataPath]:
    """Every data path of the config in its own order, found or missing."""
    return list(_paths(config))


def missing_data(config: Config) -> list[Problem]:
    """Paths that are not here, as errors (`--check-data`)."""
    return [_missing(path) for path in check_data_paths(config) if not path.found]


def _missing(path: DataPath) -> Problem:
    fix = f"correct the path, or build it with {_maker(path.key)}."
    return Problem((path.key,), f"Not on this machine: {path.missing}.", "", fix)


def _maker(key: str) -> str:
    """What makes the file that a key names."""
    if key == "data.tokenizer":
        return "tools/train_tokenizer.py"
    if key.startswith("evaluation.probes."):
        return "megakor corpus probe"
    return "megakor cmr fit" if key.endswith(".cmr") else "tools/preprocess_data.py"


def _paths(config: Config) -> Iterator[DataPath]:
    if config.data.tokenizer:
        file = tokenizer_file(Path(config.data.tokenizer))
        yield DataPath("data.tokenizer", config.data.tokenizer, file.is_file(), str(file))
    for name, source in config.data.sources.items():
        if source.path:
            yield _shards(f"data.sources.{name}.path", source.path)
        if source.validation:
            yield _shards(f"data.sources.{name}.validation", source.validation)
    for index, phase in enumerate(config.data.phases):
        if phase.replay is not None and phase.replay.cmr is not None:
            file = Path(phase.replay.cmr)
            yield DataPath(f"data.phases.{index}.replay.cmr", phase.replay.cmr, file.is_file(), str(file))
    for name, evaluation in config.evaluation.sources.items():
        if evaluation.path:
            yield _shards(f"evaluation.sources.{name}.path", evaluation.path)
    for name, probe in config.evaluation.probes.items():
        if probe.path:
            yield DataPath(f"evaluation.probes.{name}.path", probe.path, Path(probe.path).is_file(), probe.path)


def lacks_validation(source: SourceConfig) -> bool:
    """Whether the shards of a source are here, and no held-out ones."""
    beside = Path(f"{source.path}{VALIDATION_SUFFIX}.idx")
    return bool(source.path) and not source.validation and _shards("", source.path).found and not beside.is_file()


def _shards(key: str, text: str) -> DataPath:
    """A prefix with its two files, or a directory with at least one such pair."""
    path = Path(text)
    if path.is_dir():
        pairs = any(index.with_suffix(".bin").is_file() for index in path.glob("*.idx"))
        return DataPath(key, text, pairs, f"{text}/*.bin with its .idx")
    missing = [file for file in (f"{text}.bin", f"{text}.idx") if not Path(file).is_file()]
    return DataPath(key, text, not missing, " and ".join(missing) or text)
