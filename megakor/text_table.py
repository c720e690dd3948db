"""Text for a terminal: tables, and lines that hold what strangers wrote."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows as columns two blanks apart, the first `left` of them flush left, the others flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def harmless(line: str) -> str:
    """A line with its control characters spelt out: names in a file from elsewhere may hold commands to a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
