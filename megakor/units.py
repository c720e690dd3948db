"""Short forms of numbers, for people; programs read metrics.jsonl."""

from __future__ import annotations

GIBIBYTE = 1024**3
_POWERS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


def compact(number: float) -> str:
    """1234567 -> "1.23M": three significant digits, never rounded up into the next unit."""
    for power, letter in _POWERS:
        if number >= power * 0.9995:
            scaled = number / power
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f}{letter}"
    return f"{number:.0f}"


def data_size(number: float) -> str:
    """1234567 -> "1.23 MB": decimal units of bytes, three significant digits."""
    text = compact(number).replace("B", "G").replace("K", "k")
    return f"{text[:-1]} {text[-1]}B" if text[-1].isalpha() else f"{text} B"


def counted(number: int, noun: str) -> str:
    """1, "document" -> "1 document"; 2070 -> "2,070 documents". For nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """75 -> "1m15s"; the two largest units."""
    whole = round(seconds)
    for unit, letter, smaller, small_letter in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{letter}{whole % unit // smaller:02d}{small_letter}"
    return f"{whole}s"


def percent(share: float) -> str:
    """0.1234 -> "12.3 %"."""
    return f"{100 * share:.1f} %"
