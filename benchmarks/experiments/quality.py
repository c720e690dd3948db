"""How well a document is predicted by a small model of running text: the number that the best subset is chosen by.

Strategy II of the stability-gap paper (arXiv 2406.14833) keeps what has the lowest perplexity under an n-gram model of
a reference corpus. Here the reference is that tenth of the documents whose lines are longest (running text, not lists
and interface strings), and the model is of pairs of characters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, starmap

REFERENCE_SHARE = 10
"""One document in so many belongs to the reference."""
SMOOTHING = 0.1
"""Added to the count of every pair that occurs anywhere."""


def perplexities(texts: Sequence[str]) -> list[float]:
    """Per character, of each text."""
    by_line = sorted(texts, key=lambda text: -len(text) / (text.count("\n") + 1))
    pairs: Counter[str] = Counter()
    firsts: Counter[str] = Counter()
    for text in by_line[: max(1, len(texts) // REFERENCE_SHARE)]:
        pairs.update(map("".join, pairwise(text)))
        firsts.update(text[:-1])
    alphabet = len(set().union(*texts))

    @cache
    def nats(first: str, second: str) -> float:
        return -math.log((pairs[first + second] + SMOOTHING) / (firsts[first] + SMOOTHING * alphabet))

    return [
        math.exp(sum(starmap(nats, pairwise(text))) / (len(text) - 1)) if len(text) > 1 else math.inf for text in texts
    ]
