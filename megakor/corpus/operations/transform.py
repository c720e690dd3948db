"""What every operation with one output has in common: inputs opened, output refused or written, history kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.finished import finished
from megakor.corpus.operations.shards import Log, Shards, open_shards
from megakor.corpus.operations.sink import DocumentSink
from megakor.corpus.operations.workplace import (
    Output,
    check_free,
    check_place,
    publish_shards,
    remove_leftovers,
    workplace,
)
from megakor.errors import DataError
from megakor.units import counted

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

    def finished(self, prefix: Path) -> Manifest | None:
        """The manifest of an output that this very operation has made before; None where there is something to do."""
        history = [*(self.origin.operations if self.origin else []), self.history()]
        return finished(prefix, history, [reader.prefix for reader in self.shards.readers])


def open_inputs(inputs: Sequence[Path], output: Output, log: Log) -> Shards:
    """Check the place of the output, then open the inputs. Raises ConfigError, DataError."""
    check_place(output, inputs)
    return open_shards(inputs, log)


def write_output(transformation: Transformation, output: Output, documents: Documents, log: Log) -> Manifest | None:
    """Write what `documents` gives as one shard; it gets the workplace for files of its own.

    Returns the manifest, or None where no input has one. An output that is there already is left alone.

    Raises:
        ConfigError: the output is another shard.
        DataError: nothing is left to write, or an input is damaged.
        StorageError: the disk is full or refuses; the output does not appear, an older one stays.
    """
    shards, prefix = transformation.shards, output.prefix
    if not output.overwrite and (done := transformation.finished(prefix)) is not None:
        leave_alone(output, [prefix], log)
        return done
    check_free(output)
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
    log(
        f"{prefix}: {counted(sink.documents, 'document')} from {shards.documents:,}, {counted(sink.tokens, 'token')} "
        f"from {shards.tokens:,}"
    )
    return manifest


def leave_alone(output: Output, prefixes: Iterable[Path], log: Log) -> None:
    """Say of each shard that it is there already; what a killed process left beside them is removed."""
    remove_leftovers(output.prefix)
    for prefix in prefixes:
        log(f"{prefix}: nothing to do, this command has made it before (--overwrite makes it again)")


def timed(batches: Iterable[DocumentBatch], sink: DocumentSink, log: Log) -> Iterator[DocumentBatch]:
    """The batches, with a line of progress a minute."""
    last = time.monotonic()
    for batch in batches:
        yield batch
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            log(f"{sink.documents:,} documents, {sink.tokens:,} tokens are written")
