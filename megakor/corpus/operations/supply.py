"""Documents of shards as pieces, with the spans of conditioning text that training should not predict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from megakor.corpus.metadata import LANGUAGE
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.pieces import Piece
from megakor.corpus.operations.shards import Shards
from megakor.errors import DataError

BEFORE, AFTER = "prefix_tokens", "suffix_tokens"
"""Columns of the metadata: tokens of the text put before and after a document."""


@dataclass(frozen=True)
class Place:
    """Where a batch of documents stands: shard, first document (over all shards), first token (in its shard)."""

    shard: int
    document: int
    token: int


@dataclass(frozen=True)
class Supply:
    """The documents of the input shards, read a batch at a time.

    Args:
        batch_tokens: of a read.
        masked: which of `prefix_tokens`, `suffix_tokens` become spans without loss.
    """

    shards: Shards
    batch_tokens: int
    masked: frozenset[str]

    def batches(self) -> Iterator[tuple[Place, DocumentBatch]]:
        """All batches, in order."""
        document = 0
        for shard in range(len(self.shards.readers)):
            token = 0
            for batch in self.shards.read_one(shard, self.batch_tokens):
                yield Place(shard, document, token), batch
                document += batch.documents
                token += len(batch.tokens)

    def documents(self) -> Iterator[Piece]:
        """All documents, in order; an unknown language is ''."""
        for place, batch in self.batches():
            yield from self.pieces(place, batch, np.arange(batch.documents))

    def pieces(self, place: Place, batch: DocumentBatch, numbers: np.ndarray) -> Iterator[Piece]:
        """Documents of a batch, by their numbers in it, as pieces with tokens of their own."""
        languages = batch.metadata.column(LANGUAGE).to_pylist()
        before, after = added_tokens(batch, BEFORE), added_tokens(batch, AFTER)
        for number in numbers.tolist():
            tokens = batch.document(number).copy()  # a view would keep the whole batch alive
            spans = self.spans(len(tokens), int(before[number]), int(after[number]))
            yield Piece(tokens, place.document + number, languages[number] or "", 0, spans)

    def spans(self, length: int, before: int, after: int) -> tuple[tuple[int, int], ...]:
        """Tokens of a document that are not to be predicted; the end-of-document token always is."""
        end = length - bool(self.shards.origin and self.shards.origin.append_eod)
        found = []
        if BEFORE in self.masked and before:
            found.append((0, min(before, end)))
        if AFTER in self.masked and after:
            found.append((max(end - after, 0), end))
        return tuple(found)

    def languages(self) -> dict[str, int]:
        """Tokens of each language; reads everything once. Raises DataError for a document without a language."""
        counts: dict[str, int] = {}
        for place, batch in self.batches():
            names = batch.metadata.column(LANGUAGE).to_pylist()
            for number in np.flatnonzero(batch.lengths).tolist():
                if not names[number]:
                    prefix, document = self.shards.readers[place.shard].prefix, place.document + number
                    raise DataError(
                        f"{prefix}: document {document:,} has no language, which rows of several languages need. Build "
                        "the shard again with --lang, or with --language-key for a language of each document."
                    )
                counts[names[number]] = counts.get(names[number], 0) + int(batch.lengths[number])
        return counts


def added_tokens(batch: DocumentBatch, column: str) -> np.ndarray:
    """Tokens of the text that was put before or after each document, int64 (documents,)."""
    if column not in batch.metadata.schema.names:
        return np.zeros(batch.documents, dtype=np.int64)
    return batch.metadata.column(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
