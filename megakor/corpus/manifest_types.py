"""Whether what a JSON file holds is of the types that a dataclass says: JSON can hold anything anywhere."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from reprlib import repr as shortened
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

DEEPEST = 200
"""Levels of nesting; a merge of merges adds three each time. Deeper ones would end in Python's limit of recursion."""


def check_types(record: Any) -> None:
    """Raises TypeError for a field of a dataclass, or of one inside it, whose value is of another type.

    True and false are no numbers, and neither is NaN.
    """
    for name, wanted in _types(record.__class__):
        value = getattr(record, name)
        if not _fits(value, wanted):
            raise TypeError(f"{name} is {shortened(value)}")


def check_text(value: Any, depth: int = 0) -> None:
    """Raises TypeError for text that no file can hold (half a surrogate pair), and for more than DEEPEST levels."""
    if depth > DEEPEST:
        raise TypeError(f"more than {DEEPEST} levels of nesting")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise TypeError(f"{value[:40]!a} is no text") from None
    elif isinstance(value, dict | list):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            check_text(part, depth + 1)


@cache
def _types(of: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(of)
    return [(entry.name, hints[entry.name]) for entry in fields(of)]


def _fits(value: Any, wanted: Any) -> bool:
    kind, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if kind is UnionType:
        return any(_fits(value, one) for one in inner)
    if kind is list:
        return isinstance(value, list) and all(_fits(part, inner[0]) for part in value)
    if kind is dict:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if wanted in (int, float):
        return _is_number(value, wanted)
    if is_dataclass(value) and type(value) is wanted:
        check_types(value)
    return type(value) is wanted


def _is_number(value: Any, wanted: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or (wanted is float and math.isfinite(value))
