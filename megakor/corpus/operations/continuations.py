"""Questions for a probe out of any held-out text: which of several continuations is the true one?

The true continuation follows in the document; the others stand at the same place of other documents. Texts are cut at
blanks, so that the questions belong to no tokenizer.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from megakor.corpus.index_file import IndexFile
from megakor.corpus.shard import ShardReader
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError, DataError
from megakor.storage import new_text_file

TOKENS_A_WORD = 12
"""Tokens read for a word at most; longer passages are passed over."""
SPARE = 4
"""Passages looked for, for each item wanted: the others are where wrong continuations come from."""


@dataclass(frozen=True)
class ContinuationOptions:
    """What the questions are like."""

    items: int = 200
    choices: int = 4
    context: int = 40
    """Words of the question."""
    continuation: int = 8
    """Words of a choice."""
    seed: int = 0
    language: str = ""
    domain: str = ""

    def check(self) -> None:
        """Raises ConfigError."""
        for name, least in (("items", 1), ("choices", 2), ("context", 1), ("continuation", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} {getattr(self, name)}: give at least {least}.")


def write_items(prefix: Path, tokenizer: Tokenizer, output: Path, options: ContinuationOptions) -> int:
    """Write a JSONL file for `evaluation.probes.NAME.path`; returns the number of items, which may be lower than asked
    for where documents are few.

    Raises:
        DataError: the shard is damaged, or has too few documents that are long enough.
    """
    options.check()
    passages = list(islice(_passages(prefix, tokenizer, options), SPARE * options.items))
    items = list(islice(_items(passages, options), options.items))
    if not items:
        raise DataError(
            f"{prefix}: has too few documents of {options.context + options.continuation} words for a question with "
            f"{options.choices} choices. Lower --context and --continuation, or take more text."
        )
    with new_text_file(output) as file:
        for item in items:
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
    return len(items)


def _passages(prefix: Path, tokenizer: Tokenizer, options: ContinuationOptions) -> Iterator[tuple[str, str]]:
    """Questions and their true continuations, one of a document, in an order that the seed decides."""
    shard, index = ShardReader(prefix), IndexFile.open(prefix)
    draw = random.Random(f"{options.seed} documents")
    words = options.context + options.continuation
    sizes = tokenizer.token_bytes()
    for number in _shuffled(draw, shard.documents):
        start, stop = (int(offset) for offset in index.offsets(number, number + 1))
        count = min(stop - start, words * TOKENS_A_WORD)
        first = start + draw.randrange(stop - start - count + 1)
        ids = shard.read(first, count)
        text = tokenizer.decode(ids[sizes[ids] > 0].tolist())  # without special tokens
        # What may be half a word at either end of the stretch is left out.
        found = re.findall(r"\s*\S+", text)[first > start : None if first + count == stop else -1]
        if len(found) >= words and "\ufffd" not in (passage := "".join(found[:words])):
            cut = len("".join(found[: options.context]))
            yield passage[:cut].lstrip(), passage[cut:]


def _shuffled(draw: random.Random, count: int) -> Iterator[int]:
    """The numbers below `count` in random order, each once; memory for those that were taken."""
    moved: dict[int, int] = {}
    for place in range(count):
        other = draw.randrange(place, count)
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)


def _items(passages: Sequence[tuple[str, str]], options: ContinuationOptions) -> Iterator[dict[str, Any]]:
    for number, (question, right) in enumerate(passages):
        draw = random.Random(f"{options.seed} item {number}")
        others = sorted({continuation for _, continuation in passages} - {right})
        if len(others) < options.choices - 1:
            return
        choices = draw.sample(others, options.choices - 1)
        answer = draw.randrange(options.choices)
        choices.insert(answer, right)
        yield {
            "question": question,
            "choices": choices,
            "answer": answer,
            "language": options.language,
            "domain": options.domain,
        }
