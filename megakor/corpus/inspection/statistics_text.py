"""Statistics of shards as a text for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.inspection.statistics import Statistics, together
from megakor.corpus.manifest import Count
from megakor.text_table import aligned
from megakor.units import counted

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_NAMES = ("shortest", "1%", "5%", "25%", "50%", "75%", "95%", "99%", "longest")


def statistics_text(statistics: Statistics, top: int = 20) -> str:
    """Tables; of each field the `top` values with the most tokens."""
    total = statistics.total
    lines = [*_counts_table("shard", _shard_names(statistics), total, statistics.noun, shares=False), ""]
    lines += [*_length_table(statistics), ""]
    for name, counts in statistics.groups.items():
        lines += [*_counts_table(name, _shortened(counts, top), total, statistics.noun, shares=True), ""]
    return "\n".join([*lines, *_remarks(statistics, total)])


def statistics_record(statistics: Statistics) -> dict[str, Any]:
    """The same for programs, with every value of every field."""
    total, duplicates = statistics.total, statistics.duplicates
    lengths, counts = statistics.lengths.table()
    quantiles = statistics.lengths.quantiles(list(QUANTILES))
    return {
        **_record(total),
        "shards": {str(prefix): _record(count) for prefix, count in statistics.shards.items()},
        "lengths": {
            "mean": float((lengths * counts).sum() / counts.sum()) if len(lengths) else None,
            "quantiles": {str(share): value for share, value in zip(QUANTILES, quantiles, strict=False)},
        },
        "by": {
            name: {value: _record(count) for value, count in counts.items()}
            for name, counts in statistics.groups.items()
        },
        "regrouped_shards": statistics.regrouped,
        "empty_documents": statistics.empty,
        "padding_tokens": statistics.padding_tokens,
        "duplicates": None
        if duplicates is None
        else {
            "documents": duplicates.documents,
            "tokens": duplicates.tokens,
            "most_repeated": [{**vars(one), "prefix": str(one.prefix)} for one in duplicates.repeated],
        },
    }


def share(part: int, whole: int) -> str:
    """As a percentage with one digit behind the point."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _record(count: Count) -> dict[str, Any]:
    ratio = count.text_bytes / count.tokens if count.text_bytes is not None and count.tokens else None
    return {**vars(count), "bytes_per_token": ratio}


def _shard_names(statistics: Statistics) -> dict[str, Count]:
    named = {str(prefix): count for prefix, count in statistics.shards.items()}
    return named if len(named) == 1 else {**named, "all": statistics.total}


def _shortened(counts: dict[str, Count], top: int) -> dict[str, Count]:
    kept = dict(list(counts.items())[:top])
    rest = list(counts.values())[top:]
    return {**kept, f"({len(rest):,} others)": together(rest)} if rest else kept


def _counts_table(title: str, counts: dict[str, Count], total: Count, noun: str, shares: bool) -> list[str]:
    rows = [[title, noun, "tokens", "bytes of text", "bytes/token"]]
    rows[0] += [f"share of {noun}", "share of tokens"] if shares else []
    for name, count in counts.items():
        text = "?" if count.text_bytes is None else f"{count.text_bytes:,}"
        ratio = "?" if count.text_bytes is None or not count.tokens else f"{count.text_bytes / count.tokens:.3f}"
        row = [name or "(unknown)", f"{count.documents:,}", f"{count.tokens:,}", text, ratio]
        if shares:
            row += [share(count.documents, total.documents), share(count.tokens, total.tokens)]
        rows.append(row)
    return aligned(rows, left=1)


def _length_table(statistics: Statistics) -> list[str]:
    lengths, counts = statistics.lengths.table()
    if not len(lengths):
        return [f"no {statistics.noun}"]
    tokens = np.cumsum(lengths * counts)
    middle = int(lengths[np.searchsorted(tokens, tokens[-1] / 2)])
    mean = f"{tokens[-1] / counts.sum():,.1f}"
    values = [f"{value:,}" for value in statistics.lengths.quantiles(list(QUANTILES))]
    table = aligned([["length in tokens", *_NAMES, "mean"], ["", *values, mean]], left=1)
    return [*table, f"half of the tokens are in {statistics.noun} of {middle:,} tokens or more"]


def _remarks(statistics: Statistics, total: Count) -> Iterator[str]:
    if statistics.padding_tokens:
        padding, stored = statistics.padding_tokens, total.tokens + statistics.padding_tokens
        yield f"padding: {padding:,} tokens beside these ({share(padding, stored)} of what is stored)"
    yield f"empty {statistics.noun}: {statistics.empty:,} ({share(statistics.empty, total.documents)})"
    duplicates = statistics.duplicates
    if duplicates is None:
        yield "duplicates: not counted"
        return
    yield (
        f"duplicates: {counted(duplicates.documents, _one(statistics))} "
        f"({share(duplicates.documents, total.documents)}) with the tokens of an earlier one, "
        f"{counted(duplicates.tokens, 'token')} ({share(duplicates.tokens, total.tokens)})"
    )
    for one in duplicates.repeated:
        place = f"{_one(statistics)} {one.document:,} of {Path(one.prefix)}"
        yield f"  {one.copies:,} copies of {place} ({counted(one.tokens, 'token')})"


def _one(statistics: Statistics) -> str:
    return "row" if statistics.noun == "rows" else "document"
