"""Rows of several languages: the packer of cross-lingual document attention (XLDA, Trillion-7B, arXiv 2504.15431).

The first document of a row is of language l with probability P(l) = alpha * share(l) + (1 - alpha) * beta(l), where
share(l) is its share of the tokens. The next one is of another language with probability rho, drawn by P among the
others, else of the same. A row has at least two languages, and no document is cut where another one fits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from megakor.corpus.operations.packing import BestFit
from megakor.corpus.operations.pieces import Piece, Unit, rejoined
from megakor.corpus.operations.shelf import Shelf
from megakor.errors import ConfigError


@dataclass(frozen=True)
class LanguageSampling:
    """alpha from 0 to 1 (1: the corpus's own shares), beta: language -> weight (None: equal), rho from 0 to 1."""

    alpha: float = 1.0
    beta: Mapping[str, float] | None = None
    rho: float = 0.5

    def __post_init__(self) -> None:
        for name in ("alpha", "rho"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"--{name} {getattr(self, name)}: give a number from 0 to 1.")
        for language, weight in (self.beta or {}).items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"--beta {language}={weight}: a weight is a number of at least 0.")

    def probabilities(self, tokens: Mapping[str, int]) -> dict[str, float]:
        """P(l) of each language, from its tokens. Raises ConfigError for what would never be drawn."""
        beta = dict(self.beta) if self.beta is not None else dict.fromkeys(tokens, 1.0)
        if unknown := sorted(set(beta) - set(tokens)):
            raise ConfigError(
                f"--beta names {', '.join(unknown)}, which no document has; the languages are "
                f"{', '.join(sorted(tokens))}."
            )
        total, weights = sum(tokens.values()), sum(beta.values())
        found = {
            language: self.alpha * count / total
            + (1 - self.alpha) * (beta.get(language, 0.0) / weights if weights else 0.0)
            for language, count in sorted(tokens.items())
        }
        if never := [language for language, share in found.items() if share <= 0]:
            raise ConfigError(
                f"{', '.join(never)} would never be drawn: raise --alpha above 0 or give a weight in --beta."
            )
        return found


class CrossLingual:
    """Composes rows from one shelf of units for each language. `rows` may be read once."""

    def __init__(
        self, shelves: dict[str, Shelf], shares: Mapping[str, float], rho: float, row_tokens: int, seed: int
    ) -> None:
        self.cut_for_partner = 0
        """Units that were cut because no row of two languages could be made of whole ones."""
        self._shelves, self._shares, self._rho = shelves, shares, rho
        self._row_tokens, self._seed = row_tokens, seed
        self._random = random.Random(seed)  # only random(), whose values no version of Python changes

    def rows(self, window_tokens: int) -> Iterator[tuple[list[Piece], bool]]:
        """Rows, each with whether it has two languages or more.

        When one language is left its documents come in rows of their own, best-fit packed, but for parallel ones; they
        need no room for another language any more, so what was cut of a document for that is one again.
        """
        while len(self._ready()) > 1:
            yield self._row(), True
        packers = {several: BestFit(self._row_tokens, window_tokens, self._seed) for several in (True, False)}
        for language in self._ready():
            for unit in rejoined(self._shelves[language].drain(), self._row_tokens):
                several = len(unit.languages) > 1
                for row in packers[several].add(unit):
                    yield row, several
        for several, packer in packers.items():
            for row in packer.finish():
                yield row, several

    def _ready(self) -> list[str]:
        return [language for language, shelf in self._shelves.items() if shelf.fill()]

    def _row(self) -> list[Piece]:
        row: list[Piece] = []
        seen: frozenset[str] = frozenset()
        room = self._row_tokens
        order = self._drawn(self._ready())
        while room and (unit := self._next(order, room, seen)) is not None:
            row += unit.pieces
            room -= unit.tokens
            seen |= unit.languages
            order = self._adjacent(row[-1].language)
        return row

    def _next(self, order: list[str], room: int, seen: frozenset[str]) -> Unit | None:
        """A unit of the first language in `order` that has one to fit; room for a second language is kept."""
        for language in order:
            alone = len(seen | {language}) < 2
            unit = self._shelves[language].take(room, self._partner_room(language) if alone else 0)
            if unit is not None:
                return unit
        if len(seen) > 1:
            return None
        language = next(name for name in order if name not in seen and self._shelves[name].shortest is not None)
        unit = self._shelves[language].take_part(room)
        self.cut_for_partner += bool(seen)
        return unit

    def _partner_room(self, language: str) -> int:
        """Tokens of the shortest unit of any other language; more than a row if there is none."""
        others = (shelf.shortest for name, shelf in self._shelves.items() if name != language)
        return min((tokens for tokens in others if tokens is not None), default=self._row_tokens + 1)

    def _adjacent(self, last: str) -> list[str]:
        others = self._drawn([language for language in self._shelves if language != last])
        return [*others, last] if self._random.random() < self._rho else [last, *others]

    def _drawn(self, languages: list[str]) -> list[str]:
        """The languages in the order in which they are drawn, by share, without putting back."""
        left, order = list(languages), []
        while left:
            point = self._random.random() * sum(self._shares[language] for language in left)
            chosen = left[-1]
            for language in left:
                point -= self._shares[language]
                if point < 0:
                    chosen = language
                    break
            left.remove(chosen)
            order.append(chosen)
        return order
