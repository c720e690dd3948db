"""Amounts of tokens as people write them: 65536, "400M", "4Mi", "1.5T"."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

Tokens = Annotated[int, "tokens"]
"""A number of tokens. K, M, B, T are powers of 1,000; Ki, Mi, Gi are powers of 1,024."""

DECIMAL_UNITS = {"T": 10**12, "B": 10**9, "M": 10**6, "K": 10**3}
BINARY_UNITS = {"Gi": 2**30, "Mi": 2**20, "Ki": 2**10}
UNITS = {"": 1, **DECIMAL_UNITS, **BINARY_UNITS}
LARGEST = 2**63 - 1
"""Token counters are signed 64-bit integers in checkpoints and index files."""

_QUANTITY = re.compile(
    r"\s*(?P<number>[+-]?(?:\d[\d_]*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\s*(?P<unit>[A-Za-z]*)\s*", re.ASCII
)


def parse_tokens(value: object) -> int:
    """The number of tokens that `value` stands for: a whole number, or a text such as "2B" or "1.5T".

    Raises:
        ValueError: with a sentence that says what is wrong and how to write it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number of tokens; write a whole number or a text such as 400M, 4Mi or 2B")
    tokens = _number_of(value)
    if tokens.denominator != 1:
        raise ValueError(f"{value} is not a whole number of tokens ({float(tokens):g}); round it")
    if not 0 <= tokens <= LARGEST:
        raise ValueError(f"{value} is out of range: tokens are counted from 0 to 2^63 - 1")
    return int(tokens)


def _number_of(value: int | float | str) -> Fraction:
    if isinstance(value, str):
        return _number_of_text(value)
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{value} is not a number of tokens; write a whole number or a text such as 400M") from None


def _number_of_text(text: str) -> Fraction:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a number of tokens; write it as 65536, 400M, 4Mi, 2B or 1.5T, without commas"
        )
    unit = match["unit"]
    if unit not in UNITS:
        raise ValueError(f"{text!r} has the unknown unit {unit!r}; {_unit_hint(unit)}")
    return Fraction(match["number"].replace("_", "")) * UNITS[unit]


def _unit_hint(unit: str) -> str:
    for known in UNITS:
        if known and known.lower() == unit.lower():
            return f"units keep their case: write {known}"
    return "the units are K, M, B, T (powers of 1,000) and Ki, Mi, Gi (powers of 1,024)"


def format_tokens(tokens: int) -> str:
    """The shortest exact spelling, so that `parse_tokens(format_tokens(n)) == n`."""
    decimal = [
        f"{_trimmed(Fraction(tokens, size))}{unit}"
        for unit, size in DECIMAL_UNITS.items()
        if tokens >= size and (tokens * 1000) % size == 0
    ]
    binary = [f"{tokens // size}{unit}" for unit, size in BINARY_UNITS.items() if tokens >= size and tokens % size == 0]
    return min([*decimal, *binary, str(tokens)], key=len)


def _trimmed(value: Fraction) -> str:
    """`value`, which has at most three decimals, without zeros at the end."""
    whole, thousandths = divmod(int(value * 1000), 1000)
    return f"{whole}.{thousandths:03d}".rstrip("0").rstrip(".")


def rounded(amount: float) -> str:
    """Four digits for a reader, not exact: 10756251648 is "10.76B"."""
    for unit, size in DECIMAL_UNITS.items():
        if abs(amount) >= size:
            return f"{amount / size:.4g}{unit}"
    return f"{amount:.4g}"
