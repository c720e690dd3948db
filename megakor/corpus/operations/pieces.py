"""Pieces of documents, and units: pieces that stand side by side in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_PIECE_OVERHEAD = 128


@dataclass(frozen=True)
class Piece:
    """Tokens of one document, in order; a whole document has offset 0.

    tokens (length,): ids. document: number among all documents of the input shards. offset: tokens of the document
    before this piece. loss_off: (start, stop) in the piece of tokens that are not to be predicted.
    """

    tokens: np.ndarray
    document: int
    language: str
    offset: int = 0
    loss_off: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> Piece:
        """Tokens [start, stop) of the piece."""
        clipped = ((max(first, start) - start, min(last, stop) - start) for first, last in self.loss_off)
        spans = tuple((first, last) for first, last in clipped if first < last)
        return Piece(self.tokens[start:stop], self.document, self.language, self.offset + start, spans)

    def is_followed_by(self, other: Piece) -> bool:
        """Whether the other goes on with this document where this piece ends."""
        return other.document == self.document and other.offset == self.offset + len(self)

    def joined(self, other: Piece) -> Piece:
        """This piece and the one that follows it."""
        tokens = np.concatenate((self.tokens, other.tokens))
        spans = (*self.loss_off, *((first + len(self), last + len(self)) for first, last in other.loss_off))
        return Piece(tokens, self.document, self.language, self.offset, spans)


@dataclass(frozen=True)
class Unit:
    """What one row takes whole: a document, a piece of a long one, or parallel documents in order."""

    pieces: tuple[Piece, ...]

    @cached_property
    def tokens(self) -> int:
        """Of all pieces."""
        return sum(map(len, self.pieces))

    @cached_property
    def languages(self) -> frozenset[str]:
        """Of its pieces."""
        return frozenset(piece.language for piece in self.pieces)

    @property
    def weight(self) -> int:
        """Tokens that it counts for in a window: tiny documents take memory of their own."""
        return max(self.tokens, _PIECE_OVERHEAD)

    def split(self, tokens: int) -> tuple[Unit, Unit]:
        """The first `tokens` of it, at least 1, and the rest, at least 1."""
        left: list[Piece] = []
        right: list[Piece] = []
        for piece in self.pieces:
            stop = min(len(piece), tokens)
            left += [piece.part(0, stop)] if stop else []
            right += [piece.part(stop, len(piece))] if stop < len(piece) else []
            tokens -= stop
        return Unit(tuple(left)), Unit(tuple(right))


def rejoined(units: Iterable[Unit], longest: int) -> Iterator[Unit]:
    """The units, where pieces of one document that follow each other are made one again, up to `longest` tokens."""
    waiting: Piece | None = None
    for unit in units:
        if waiting is not None and len(unit.pieces) == 1 and waiting.is_followed_by(unit.pieces[0]):
            *full, rest = cut(waiting.joined(unit.pieces[0]), longest)
            yield from full
            (waiting,) = rest.pieces
            continue
        if waiting is not None:
            yield Unit((waiting,))
            waiting = None
        if len(unit.pieces) == 1:
            (waiting,) = unit.pieces
        else:
            yield unit
    if waiting is not None:
        yield Unit((waiting,))


def cut(document: Piece, longest: int) -> Iterator[Unit]:
    """A document as units of at most `longest` tokens: itself if it fits, else full ones and what remains."""
    if 0 < len(document) <= longest:
        yield Unit((document,))
    else:
        for start in range(0, len(document), longest):
            yield Unit((document.part(start, min(start + longest, len(document))),))
