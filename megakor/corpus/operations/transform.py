"""What every operation with one output has in common: inputs opened, output refused or written, history kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.shards import Log, Shards, open_shards
from megakor.corpus.operations.sink import DocumentSink
from megakor.corpus.operations.workplace import Output, check_output, publish_shards, workplace
from megakor.errors import DataError

LINE_EVERY = 60.0
"""Seconds between two lines of progress."""
Documents = Callable[[Path], Iterable[DocumentBatch]]


@dataclass(frozen=True)
class Transformation:
    """One operation on its way from inputs to an output."""

    name: str
    options: dict[str, Any]
    """What decides the output, seed included; goes into the history."""
    shards: Shards
    origin: Manifest | None
    """What the output's manifest begins with."""

    def history(self) -> dict[str, Any]:
        """The entry of the manifest."""
        return {"name": self.name, "options": self.options, "inputs": self.shards.inputs()}


def open_inputs(inputs: Sequence[Path], output: Output, log: Log) -> Shards:
    """Check the output, then open the inputs. Raises ConfigError, DataError."""
    check_output(output, inputs)
    return open_shards(inputs, log)


def write_output(transformation: Transformation, output: Output, documents: Documents, log: Log) -> Manifest | None:
    """Write what `documents` gives as one shard; it gets the workplace for files of its own.

    Returns the manifest, or None where no input has one.

    Raises:
        DataError: nothing is left to write, or an input is damaged.
        StorageError: the disk is full or refuses; the output does not appear, an older one stays.
    """
    shards, prefix = transformation.shards, output.prefix
    with workplace(prefix) as directory:
        with DocumentSink(
            directory, prefix.name, shards.dtype, shards.schema, transformation.origin, transformation.history()
        ) as sink:
            for batch in timed(documents(directory), sink, log):
                sink.write(batch)
            if not sink.documents:
                raise DataError(f"{prefix}: no document is left of {shards.documents:,}; nothing was written.")
            manifest = sink.finish()
        publish_shards(directory, [prefix])
    log(f"{prefix}: {sink.documents:,} of {shards.documents:,} documents, {sink.tokens:,} of {shards.tokens:,} tokens")
    return manifest


def timed(batches: Iterable[DocumentBatch], sink: DocumentSink, log: Log) -> Iterator[DocumentBatch]:
    """The batches, with a line of progress a minute."""
    last = time.monotonic()
    for batch in batches:
        yield batch
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            log(f"{sink.documents:,} documents, {sink.tokens:,} tokens are written")
