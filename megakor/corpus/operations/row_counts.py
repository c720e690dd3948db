"""What the rows of a shard add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from megakor.corpus.manifest import Count
from megakor.corpus.operations.pieces import Piece


@dataclass
class RowCounts:
    """What was written. Documents are counted where their first piece is, and as cut where a later one is."""

    rows: int = 0
    tokens: int = 0
    padding: int = 0
    pieces: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    """By language."""
    language_tokens: dict[str, int] = field(default_factory=dict)
    neighbours: int = 0
    """Pairs of pieces side by side in a row,"""
    crossings: int = 0
    """and those of two languages."""
    continued: int = 0
    """Pieces that go on with a document."""

    def add(self, row: list[Piece], row_tokens: int) -> int:
        """Count a row; returns its tokens."""
        tokens = 0
        for piece in row:
            tokens += len(piece)
            self.documents[piece.language] = self.documents.get(piece.language, 0) + (piece.offset == 0)
            self.language_tokens[piece.language] = self.language_tokens.get(piece.language, 0) + len(piece)
            self.continued += piece.offset > 0
        self.crossings += sum(one.language != two.language for one, two in pairwise(row))
        self.neighbours += len(row) - 1
        self.pieces += len(row)
        self.rows += 1
        self.tokens += tokens
        self.padding += row_tokens - tokens
        return tokens

    @property
    def fill(self) -> float:
        """Share of the rows that is no padding."""
        return self.tokens / max(1, self.tokens + self.padding)

    def by_language(self) -> dict[str, Count]:
        """For the manifest."""
        return {
            language: Count(self.documents[language], self.language_tokens[language], None)
            for language in sorted(self.documents)
        }
