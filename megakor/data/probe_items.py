"""Multiple-choice questions from a JSONL file: {"question", "choices", "answer", "language", "domain"}."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from megakor.errors import DataError


@dataclass(frozen=True)
class ChoiceItem:
    """A question with several continuations, one of which is right. The model reads question + choice as one text, so
    what stands between them (a blank, a line end) belongs to one of the two."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """The right choice, counted from 0."""
    language: str = ""
    domain: str = ""
    """`general`, `domain`, or a word of your own."""


def read_items(path: Path, limit: int) -> list[ChoiceItem]:
    """The first `limit` items. Raises DataError, naming file and line."""
    items = list(islice(_items(path), limit))
    if not items:
        raise DataError(f"{path}: holds no question. Make some with megakor corpus probe.")
    return items


def _items(path: Path) -> Iterator[ChoiceItem]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield _item(text, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise DataError(f"{path}: the questions of a probe cannot be read: {reason}.") from error


def _item(text: str, place: str) -> ChoiceItem:
    try:
        fields: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"{place}: not a JSON object ({error}).") from error
    problem = _problem(fields)
    if problem:
        raise DataError(f"{place}: {problem}.")
    return ChoiceItem(
        fields["question"],
        tuple(fields["choices"]),
        fields["answer"],
        fields.get("language") or "",
        fields.get("domain") or "",
    )


def _problem(fields: Any) -> str:
    """What is wrong with a line, in words; empty if nothing is."""
    if not isinstance(fields, dict):
        return "not a JSON object"
    choices, answer = fields.get("choices"), fields.get("answer")
    if not isinstance(fields.get("question"), str) or not fields["question"].strip():
        return '"question" must be a text that is not empty'
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c.strip() for c in choices):
        return '"choices" must be a list of at least two texts'
    if len(set(choices)) < len(choices):
        return "two choices are the same"
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        return f'"answer" must be the number of the right choice, from 0 to {len(choices) - 1}'
    wrong = [key for key in ("language", "domain") if not isinstance(fields.get(key) or "", str)]
    return f'"{wrong[0]}" must be a text' if wrong else ""
