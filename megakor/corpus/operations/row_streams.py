"""Streams of rows: documents of the supply through the packer of a mode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from megakor.corpus.metadata import LANGUAGE
from megakor.corpus.operations.crosslingual import CrossLingual
from megakor.corpus.operations.packing import BestFit
from megakor.corpus.operations.parallel import ALONE, FOLLOWS, ParallelDocuments
from megakor.corpus.operations.pieces import Piece, Unit, cut
from megakor.corpus.operations.regroup_options import BEST_FIT, CROSS_LINGUAL, RegroupOptions
from megakor.corpus.operations.shards import Log
from megakor.corpus.operations.shelf import Shelf
from megakor.corpus.operations.supply import Supply
from megakor.errors import DataError

Rows = Iterator[tuple[list[Piece], bool]]


def rows_of(supply: Supply, options: RegroupOptions, log: Log) -> Rows:
    """All documents in rows of the chosen mode, each with whether it is such a row or one of what that mode left over.

    Raises:
        ConfigError: languages or a field that the documents do not have.
        DataError: a shard is damaged, or its documents have fewer than two languages where rows need them.
    """
    return _best_fit(supply, options) if options.mode == BEST_FIT else _cross_lingual(supply, options, log)


def _best_fit(supply: Supply, options: RegroupOptions) -> Rows:
    packer = BestFit(options.row_tokens, options.window_tokens, options.seed)
    for document in supply.documents():
        for unit in cut(document, options.longest):
            for row in packer.add(unit):
                yield row, True
    for row in packer.finish():
        yield row, True


def _cross_lingual(supply: Supply, options: RegroupOptions, log: Log) -> Rows:
    languages = supply.languages()
    if len(languages) < 2:
        found = f"only {next(iter(languages))}" if languages else "no language"
        raise DataError(f"--mode {CROSS_LINGUAL} needs documents of two languages or more; the shards have {found}.")
    shares = options.sampling.probabilities(languages)
    log("first document of a row: " + ", ".join(f"{language} {share:.1%}" for language, share in shares.items()))
    parallel = None
    if options.pair_field is not None:
        parallel = ParallelDocuments.find(supply, options.pair_field, options.row_tokens, options.seed)
        log(parallel.summary())
    window = max(options.row_tokens, options.window_tokens // len(languages))
    shelves = {
        language: Shelf(_units(supply, language, options.longest, parallel), window) for language in sorted(languages)
    }
    grouping = CrossLingual(shelves, shares, options.sampling.rho, options.row_tokens, options.seed)
    yield from grouping.rows(window)
    if grouping.cut_for_partner:
        log(
            f"{grouping.cut_for_partner:,} documents were cut because no shorter one of their language was left in the "
            "window; a larger --window-tokens or --row-tokens helps"
        )


def _units(supply: Supply, language: str, longest: int, parallel: ParallelDocuments | None) -> Iterator[Unit]:
    """The documents of one language; parallel ones come with their partners, where they are drawn to come first."""
    for place, batch in supply.batches():
        names = np.array(batch.metadata.column(LANGUAGE).to_pylist(), dtype=object)
        numbers = np.flatnonzero((names == language) & (batch.lengths > 0))
        roles = np.full(len(numbers), ALONE) if parallel is None else parallel.roles(place.document + numbers)
        alone = supply.pieces(place, batch, numbers[roles == ALONE])
        for role in roles[roles != FOLLOWS].tolist():
            if parallel is not None and role != ALONE:
                yield parallel.unit(role)
            else:
                yield from cut(next(alone), longest)
