"""Packs the documents of shards into rows of one length: by best fit, or so that every row has several languages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from megakor.corpus.manifest import Manifest
from megakor.corpus.operations.regroup_options import CROSS_LINGUAL, MASKS, RegroupOptions
from megakor.corpus.operations.row_counts import RowCounts
from megakor.corpus.operations.row_sink import RowFormat, RowSink
from megakor.corpus.operations.row_streams import Rows, rows_of
from megakor.corpus.operations.shards import Log, open_shards
from megakor.corpus.operations.stream import BATCH_TOKENS
from megakor.corpus.operations.supply import Supply
from megakor.corpus.operations.transform import LINE_EVERY, Transformation, leave_alone
from megakor.corpus.operations.workplace import Output, check_free, check_place, publish_shards, workplace
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError, DataError
from megakor.units import counted

REST = ".rest"
"""Rows of a single language that cross-lingual grouping leaves stand in a shard of their own, PREFIX.rest."""


@dataclass(frozen=True)
class Regrouped:
    """What came out. The manifests are None where no input has one, or no row is left over."""

    rows: RowCounts
    manifest: Manifest | None
    rest: RowCounts
    rest_manifest: Manifest | None


def regroup(inputs: Sequence[Path], output: Output, options: RegroupOptions, log: Log) -> Regrouped | None:
    """Write the documents of all inputs as rows, each token once; None where this very output is there already.

    What cross-lingual grouping leaves over, since documents of one language alone remain, goes to PREFIX.rest.

    Raises:
        ConfigError: options, or languages and ids that the documents do not have.
        DataError: a shard is missing or damaged, or does not fit the others; there is no token.
        StorageError: the output cannot be written; nothing appears, an older output stays.
    """
    options.validate()
    rest = replace(output, prefix=shard_file(output.prefix, REST))
    for part in (output, rest):
        check_place(part, inputs)
    shards = open_shards(inputs, log)
    _check_pad(options.pad_id, shards.origin, shards.dtype)
    prefixes = (output.prefix, rest.prefix)
    transformation = Transformation("regroup", asdict(options), shards, shards.origin)
    if not output.overwrite and _is_finished(transformation, prefixes):
        leave_alone(output, [output.prefix], log)
        return None
    for part in (output, rest):
        check_free(part)
    with workplace(output.prefix) as directory, ExitStack() as stack:
        wanted, left = (
            stack.enter_context(_sink(directory / prefix.name, transformation, options, whole))
            for prefix, whole in zip(prefixes, (options.mode == CROSS_LINGUAL, False), strict=True)
        )
        supply = Supply(shards, min(BATCH_TOKENS, options.window_tokens), MASKS[options.loss_off])
        for row, is_wanted in _timed(rows_of(supply, options, log), shards.tokens, log):
            (wanted if is_wanted else left).add(row)
        if not wanted.counts.rows:
            raise DataError(f"{output.prefix}: the shards have no token to regroup; nothing was written.")
        text_bytes = shards.origin.text_bytes if shards.origin and not left.counts.rows else None
        manifests = [sink.finish(text_bytes) if sink.counts.rows else None for sink in (wanted, left)]
        publish_shards(directory, prefixes)
    done = Regrouped(wanted.counts, manifests[0], left.counts, manifests[1])
    _say(done, prefixes, options, log)
    return done


def _timed(rows: Rows, tokens: int, log: Log) -> Rows:
    """The rows, with a line of progress a minute."""
    last, done = time.monotonic(), 0
    for row, wanted in rows:
        yield row, wanted
        done += sum(map(len, row))
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            log(f"{done:,} of {tokens:,} tokens are in rows")


def _is_finished(transformation: Transformation, prefixes: tuple[Path, Path]) -> bool:
    """Whether the rows and what they leave over are there, with every token."""
    manifests = [transformation.finished(prefix) for prefix in prefixes]
    tokens = sum(manifest.tokens for manifest in manifests if manifest)
    return manifests[0] is not None and tokens == transformation.shards.tokens


def _sink(prefix: Path, transformation: Transformation, options: RegroupOptions, whole: bool) -> RowSink:
    shards, rows = transformation.shards, RowFormat(options.row_tokens, options.pad_id, whole)
    return RowSink(prefix, shards.dtype, shards.origin, transformation.history(), rows)


def _check_pad(pad_id: int, origin: Manifest | None, dtype: np.dtype) -> None:
    limit = origin.vocabulary_size if origin else np.iinfo(dtype).max + 1
    if not 0 <= pad_id < limit:
        raise ConfigError(f"--pad-id {pad_id}: the ids of these shards are 0 to {limit - 1:,}.")


def _say(done: Regrouped, prefixes: tuple[Path, Path], options: RegroupOptions, log: Log) -> None:
    rows, rest = done.rows, done.rest
    log(
        f"{prefixes[0]}: {counted(rows.rows, 'row')} of {options.row_tokens:,} tokens with "
        f"{counted(sum(rows.documents.values()), 'document')}; {rows.fill:.2%} are tokens, the rest is padding; "
        f"documents are cut in {counted(rows.continued, 'place')}"
    )
    if options.mode == CROSS_LINGUAL:
        crossings = rows.crossings / max(1, rows.neighbours)
        shares = ", ".join(
            f"{name} {tokens / rows.tokens:.1%}" for name, tokens in sorted(rows.language_tokens.items())
        )
        log(f"tokens: {shares}; {crossings:.1%} of neighbours are of two languages")
    if rest.rows:
        languages = ", ".join(f"{count:,} {name}" for name, count in sorted(rest.documents.items()))
        log(
            f"{prefixes[1]}: {counted(rest.rows, 'row')} of one language with the documents that are left "
            f"({languages}); {rest.fill:.2%} are tokens{_advice(options)}"
        )


def _advice(options: RegroupOptions) -> str:
    """What would leave fewer documents over, as far as it is not so already."""
    sampling = options.sampling
    ways = [*(["--alpha 1"] if sampling.alpha < 1 else []), *(["a smaller --rho"] if sampling.rho > 0 else [])]
    return f"; {' or '.join(ways)} may leave fewer" if ways else ""
