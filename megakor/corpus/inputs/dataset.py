"""Anything that the library `datasets` streams: `hf:NAME[:CONFIG[:SPLIT]]`, NAME a name on the hub or a local path."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from megakor.corpus.inputs.columns import Columns, documents
from megakor.corpus.inputs.kinds import DATASET_PREFIX, SAVED
from megakor.corpus.inputs.records import BATCH_DOCUMENTS, Fields, Portion, Records
from megakor.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import IterableDataset

_MOST_SHARDS = 1 << 12
"""A dataset of more shards is read in so many groups; number and row of a group make a position of 44 bits."""
_ROW_BITS = 32
_SPLIT = "train"
_ASKS_FOR_A_PART = re.compile(r"\b(split|config)", re.IGNORECASE)


def count_shards(path: str) -> int:
    """Pieces in which a dataset can be read apart. Raises ConfigError without the library, DataError for no dataset."""
    return min(_load(path).num_shards, _MOST_SHARDS)


def read_dataset(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The rows of a portion's shards. Raises DataError where they cannot be loaded or the column is missing."""
    dataset = _load(portion.path)
    for item in range(portion.item_start, portion.item_stop):
        place, row = f"{portion.path}, shard {item}", 0
        with _explained(portion.path):
            shard = dataset.shard(num_shards=count_shards(portion.path), index=item).with_format("arrow")
            for table in shard.iter(batch_size=BATCH_DOCUMENTS):
                for batch in table.combine_chunks().to_batches():
                    for records in documents(batch, Columns.of(batch.schema, fields, place), row):
                        records.positions = [(item << _ROW_BITS) + position for position in records.positions]
                        yield records
                    row += batch.num_rows


def _parts(path: str) -> tuple[str, str | None, str]:
    """Name, configuration and split."""
    name = path.removeprefix(DATASET_PREFIX)
    if Path(name).exists():
        return name, None, _SPLIT
    name, _, rest = name.partition(":")
    configuration, _, split = rest.partition(":")
    return name, configuration or None, split or _SPLIT


@lru_cache(maxsize=8)  # to load it again means to ask the hub again
def _load(path: str) -> IterableDataset:
    name, configuration, split = _parts(path)
    if any((Path(name) / mark).is_file() for mark in SAVED):
        raise DataError(f"{path}: written by save_to_disk, which is read without `datasets`: give {name}, without hf:.")
    with _without_torch():
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise ConfigError(f"{path}: needs the library datasets: pip install 'megakor[hf]'.") from error
    _lock_bars_in_this_process()
    with _explained(path):
        return load_dataset(name, configuration, split=split, streaming=True)


def _lock_bars_in_this_process() -> None:
    """The library's progress bars would take a semaphore of the system, which nobody gives back for a killed worker."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


@contextmanager
def _without_torch() -> Iterator[None]:
    """`datasets` imports torch where it finds it, hundreds of megabytes in every worker that reads no tensor."""
    given = os.environ.get("USE_TORCH")
    if "torch" not in sys.modules:
        os.environ["USE_TORCH"] = "0"
    try:
        yield
    finally:
        os.environ.pop("USE_TORCH", None)
        if given is not None:
            os.environ["USE_TORCH"] = given


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn whatever the library raises into a DataError: it names no common class."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        advice = "; write hf:NAME:CONFIGURATION:SPLIT" if _ASKS_FOR_A_PART.search(reason) else ""
        raise DataError(f"{path}: `datasets` cannot read it ({reason}){advice}.") from error
