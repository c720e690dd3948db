"""How a tokenizer does on text, language by language: compression, fertility, fall-backs to bytes, exactness.

Fertility and bytes per token compare tokenizers; token losses and token perplexities do not (methods: EEVE, RedWhale).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from megakor.corpus.tokenizer import Tokenizer
from megakor.text_table import aligned

ALL = "all"
"""The row of all languages together."""
_BATCH = 256


@dataclass(frozen=True)
class LanguageFigures:
    """Counts over the texts of one language."""

    documents: int
    characters: int
    bytes: int
    words: int
    """Runs of characters between white space: Korean eojeol, English words."""
    tokens: int
    fragments: int
    """Tokens that are not whole characters: single bytes and other parts of a character, or "unknown"."""
    used: np.ndarray
    """bool (vocabulary,): ids that occur."""
    vocabulary: int
    """Ids that stand for text."""
    exact: int
    """Documents that come back character for character when they are decoded."""

    def to_json(self) -> dict[str, Any]:
        """Counts, and the figures that follow from them."""
        return {
            "documents": self.documents,
            "characters": self.characters,
            "bytes": self.bytes,
            "words": self.words,
            "tokens": self.tokens,
            "characters_per_token": _ratio(self.characters, self.tokens),
            "bytes_per_token": _ratio(self.bytes, self.tokens),
            "fertility": _ratio(self.tokens, self.words),
            "fallback_share": _ratio(self.fragments, self.tokens),
            "unused_tokens": self.vocabulary - int(self.used.sum()),
            "unused_share": _ratio(self.vocabulary - int(self.used.sum()), self.vocabulary),
            "exact_round_trips": _ratio(self.exact, self.documents),
        }


def measure(tokenizer: Tokenizer, texts: Iterable[str]) -> LanguageFigures:
    """Encode and decode every text."""
    whole, fragments = tokenizer.token_bytes() > 0, tokenizer.fragments()
    counts = np.zeros(tokenizer.vocabulary_size, dtype=np.int64)
    documents = characters = size = words = exact = 0
    for batch in _batches(texts):
        encoded = tokenizer.encode_batch(batch)
        documents += len(batch)
        characters += sum(map(len, batch))
        size += sum(len(text.encode("utf-8")) for text in batch)
        words += sum(len(text.split()) for text in batch)
        exact += sum(tokenizer.decode(ids) == text for text, ids in zip(batch, encoded, strict=True))
        counts += np.bincount(np.fromiter(chain.from_iterable(encoded), np.int64), minlength=len(counts))
    return LanguageFigures(
        documents=documents,
        characters=characters,
        bytes=size,
        words=words,
        tokens=int(counts.sum()),
        fragments=int(counts[fragments].sum()),
        used=(counts > 0) & whole,
        vocabulary=int(whole.sum()),
        exact=exact,
    )


def with_all(languages: Mapping[str, LanguageFigures]) -> dict[str, LanguageFigures]:
    """The languages and, where there are several, a row of all."""
    if len(languages) < 2:
        return dict(languages)
    rows = list(languages.values())
    total = LanguageFigures(
        documents=sum(row.documents for row in rows),
        characters=sum(row.characters for row in rows),
        bytes=sum(row.bytes for row in rows),
        words=sum(row.words for row in rows),
        tokens=sum(row.tokens for row in rows),
        fragments=sum(row.fragments for row in rows),
        used=np.logical_or.reduce([row.used for row in rows]),
        vocabulary=rows[0].vocabulary,
        exact=sum(row.exact for row in rows),
    )
    return {**languages, ALL: total}


_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "MB": lambda row: f"{row['bytes'] / 1e6:.2f}",
    "tokens": lambda row: f"{row['tokens']:,}",
    "chars/token": lambda row: _number(row["characters_per_token"]),
    "bytes/token": lambda row: _number(row["bytes_per_token"]),
    "tokens/word": lambda row: _number(row["fertility"]),
    "fall-backs": lambda row: _percent(row["fallback_share"]),
    "unused": lambda row: _percent(row["unused_share"]),
    "exact": lambda row: _percent(row["exact_round_trips"]),
}


def table(names: Sequence[str], rows: Sequence[tuple[Sequence[str], Mapping[str, Any]]]) -> list[str]:
    """Lines of a table: for each row its cells under `names`, then the figures of `LanguageFigures.to_json`."""
    head = [*names, *_COLUMNS]
    return aligned([head, *([*cells, *(show(row) for show in _COLUMNS.values())] for cells, row in rows)], len(names))


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
