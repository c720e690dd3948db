"""From probes to token sequences whose losses are summed by span: the choices of questions, and random tokens that are
repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from megakor.corpus.tokenizer import Tokenizer
from megakor.data.probe_items import ChoiceItem
from megakor.errors import DataError

UNSCORED = -1


@dataclass(frozen=True)
class ScoredText:
    """A sequence of tokens with the spans whose losses are wanted."""

    tokens: np.ndarray
    """int64 [n]."""
    spans: np.ndarray
    """int64 [n]: the span, counted from 0, that the prediction of a token belongs to; UNSCORED: to none. The first
    token of a text is never predicted."""


def choice_texts(item: ChoiceItem, tokenizer: Tokenizer, longest: int) -> list[ScoredText]:
    """Question and choice as one text, for each choice; span 0 is the choice. Its tokens are those behind the ones that
    the question alone has too, so that a token across the border counts. Of a text that is longer than `longest`
    tokens the beginning is left out.

    Raises:
        DataError: a choice alone is as long, or the question is no token.
    """
    question = np.array(tokenizer.encode(item.question), dtype=np.int64)
    texts = []
    for choice in item.choices:
        tokens = np.array(tokenizer.encode(item.question + choice), dtype=np.int64)
        begin = _common(question, tokens)
        if begin == 0 or begin == len(tokens):
            raise DataError(f"the question {item.question!r} and its choice {choice!r} cannot be told apart as tokens.")
        if len(tokens) - begin >= longest:
            raise DataError(
                f"the choice {choice[:40]!r}... has {len(tokens) - begin:,} tokens, and {longest:,} fit with at least "
                "one of the question. Shorten it."
            )
        spans = np.full(len(tokens), UNSCORED, dtype=np.int64)
        spans[begin:] = 0
        texts.append(ScoredText(tokens[-longest:], spans[-longest:]))
    return texts


def copying_texts(name: str, count: int, length: int, tokenizer: Tokenizer) -> list[ScoredText]:
    """Random tokens, then the same once more; drawn by the name of the probe alone. Span 0 is the first copy and span 1
    the second, each without its first token: nothing says that the text begins again.

    Olsson et al., "In-context Learning and Induction Heads", arXiv 2209.11895: what a model gains on the second copy
    it can only have from the context.
    """
    key = int.from_bytes(hashlib.blake2b(f"copying {name}".encode(), digest_size=16).digest(), "little")
    generator = np.random.Generator(np.random.Philox(key=key))
    ordinary = np.flatnonzero(tokenizer.token_bytes() > 0)
    spans = np.repeat(np.array([0, 1]), length)
    spans[[0, length]] = UNSCORED
    texts = []
    for _ in range(count):
        drawn = ordinary[(generator.random(length) * len(ordinary)).astype(np.int64)].astype(np.int64)
        texts.append(ScoredText(np.concatenate([drawn, drawn]), spans))
    return texts


def _common(first: Sequence[int] | np.ndarray, second: Sequence[int] | np.ndarray) -> int:
    """Tokens that both begin with."""
    shorter = min(len(first), len(second))
    different = np.flatnonzero(np.asarray(first[:shorter]) != np.asarray(second[:shorter]))
    return int(different[0]) if len(different) else shorter
