"""One shard for each value of a metadata field, or for each range of a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from megakor.corpus.build.columns import conformed
from megakor.corpus.manifest import VALIDATION_SUFFIX, Manifest
from megakor.corpus.metadata import metadata_schema, read_metadata
from megakor.corpus.operations.parts import ByRange, ByValue, Parts
from megakor.corpus.operations.shards import Log, Shards, open_shards
from megakor.corpus.operations.sink import DocumentSink
from megakor.corpus.operations.stream import one_batch
from megakor.corpus.operations.transform import Transformation, leave_alone
from megakor.corpus.operations.workplace import Output, check_free, check_place, publish_shards, workplace
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError
from megakor.units import counted

MOST_OUTPUTS = 250
"""Each output has three open files."""


@dataclass(frozen=True)
class SplitOptions:
    """What decides the part of a document."""

    field: str
    edges: tuple[float, ...] | None = None
    """Of ranges of a number; None: one part for each value."""
    most_outputs: int = 64

    def parts(self) -> Parts:
        """Raises ConfigError for edges that are no ranges."""
        if not 1 <= self.most_outputs <= MOST_OUTPUTS:
            raise ConfigError(f"--max-outputs {self.most_outputs}: give a number from 1 to {MOST_OUTPUTS}.")
        return ByValue(self.field) if self.edges is None else ByRange(self.field, self.edges)


def split_documents(
    inputs: Sequence[Path], output: Output, options: SplitOptions, log: Log
) -> dict[str, Manifest | None]:
    """Write OUTPUT_PART for every part that has documents, each in the order of the inputs; manifests by part.

    All parts appear together. Memory: one batch of documents, and up to 65,536 rows of metadata for each part.

    Raises ConfigError (options, field, too many parts), DataError (inputs), StorageError (outputs).
    """
    shards = open_shards(inputs, log)
    names = _all_names(shards, options)
    prefixes = {name: part_prefix(output.prefix, name) for name in names}
    outputs = {name: replace(output, prefix=prefix) for name, prefix in prefixes.items()}
    for part in outputs.values():
        check_place(part, inputs)
    transformations = {name: _part(shards, options, name) for name in names}
    done = {name: transformations[name].finished(prefix) for name, prefix in prefixes.items()}
    if all(done.values()) and not output.overwrite:
        leave_alone(output, prefixes.values(), log)
        return done
    for name, part in outputs.items():
        check_free(replace(part, overwrite=part.overwrite or done[name] is not None))
    with workplace(output.prefix) as directory:
        manifests, sizes = _write(transformations, options, directory, prefixes)
        publish_shards(directory, list(prefixes.values()))
    for name, prefix in prefixes.items():
        log(f"{prefix}: {counted(sizes[name], 'document')} from {shards.documents:,}")
    return manifests


def part_prefix(prefix: Path, name: str) -> Path:
    """PREFIX_NAME; of a validation shard PREFIX_NAME.validation."""
    if prefix.name.endswith(VALIDATION_SUFFIX):
        return prefix.with_name(f"{prefix.name.removesuffix(VALIDATION_SUFFIX)}_{name}{VALIDATION_SUFFIX}")
    return shard_file(prefix, f"_{name}")


def _part(shards: Shards, options: SplitOptions, name: str) -> Transformation:
    return Transformation("split", {**asdict(options), "part": name}, shards, shards.origin)


def _write(
    transformations: dict[str, Transformation], options: SplitOptions, directory: Path, prefixes: dict[str, Path]
) -> tuple[dict[str, Manifest | None], dict[str, int]]:
    """All parts, whole in the workplace: their manifests and numbers of documents."""
    parts = options.parts()
    shards = next(iter(transformations.values())).shards
    with ExitStack() as stack:
        sinks = {}
        for name, prefix in prefixes.items():
            operation = transformations[name].history()
            sink = DocumentSink(directory, prefix.name, shards.dtype, shards.schema, shards.origin, operation)
            sinks[name] = stack.enter_context(sink)
        for batch in shards.read():
            names, codes = parts.names(batch.metadata)
            for code, name in enumerate(names):
                sinks[name].write(batch.take(np.flatnonzero(codes == code)))
        return {name: sink.finish() for name, sink in sinks.items()}, {
            name: sink.documents for name, sink in sinks.items()
        }


def _all_names(shards: Shards, options: SplitOptions) -> list[str]:
    """The parts that have documents, in the order of their names; reads only the field where there are metadata."""
    parts = options.parts()
    parts.names(pa.RecordBatch.from_pylist([], shards.schema))  # a wrong field is found before any work
    found: set[str] = set()
    for rows in _rows(shards, options.field):
        found.update(parts.names(rows)[0])
        if len(found) > options.most_outputs:
            raise ConfigError(
                f"--field {options.field}: more than {options.most_outputs} parts. Give --edges for ranges of a "
                "number, another field, or a larger --max-outputs."
            )
    return sorted(found)


def _rows(shards: Shards, field: str) -> Iterable[pa.RecordBatch]:
    for number, reader in enumerate(shards.readers):
        present = metadata_schema(reader.prefix)
        if present is None or field not in present.names:
            yield from (batch.metadata for batch in shards.read_one(number))
        else:
            yield from _column(shards, reader.prefix, field)


def _column(shards: Shards, prefix: Path, field: str) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([shards.schema.field(field)])
    for rows in read_metadata(prefix, columns=[field]) or ():
        yield one_batch(conformed(pa.Table.from_batches([rows]), schema))
