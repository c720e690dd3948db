"""The account of a run as text, for `megakor ledger RUN`."""

from __future__ import annotations

import json
from pathlib import Path

from megakor.data.account import Account, Range, Total, account
from megakor.text_table import aligned

_COLUMNS = ("tokens", "share", "blocks", "epochs", "documents", "skipped", "unread")


def ledger_report(run: Path, as_json: bool = False) -> str:
    """The account of a run directory, as text or as JSON. Raises DataError where there is no ledger."""
    found = account(run / "ledger.jsonl")
    return json.dumps(found.to_json(), ensure_ascii=False, indent=2) if as_json else statement(found)


def statement(found: Account) -> str:
    """Three tables: sources, languages, and the schedule that each range of the token clock was read under."""
    attempts = f"{found.attempts} attempt{'s' if found.attempts != 1 else ''}"
    head = f"{found.tokens:,} tokens in {attempts}; {found.superseded_tokens:,} tokens superseded by resumes"
    subsets = any(total.outside for total in found.sources)
    columns = (*_COLUMNS, *(("outside",) if subsets else ()), "tails")
    sources = [("source", "language", *columns), *(_total_row(total, subsets) for total in found.sources)]
    languages = [("", "language", *columns), *(("", *_total_row(total, subsets)[1:]) for total in found.languages)]
    ranges = [("phase", "tokens", "row", "intended", "read"), *(_range_row(entry) for entry in found.ranges)]
    legend = [
        "unread: rest of the present epoch; tails: ends of shards, shorter than a block, that no epoch reads.",
        *(["outside: what the subsets of the present epochs leave out."] if subsets else []),
        "documents: those whose first token was read, once per epoch; ~ estimated, ? shards not on this machine.",
    ]
    replay = _replay_lines(found.ranges)
    if replay:
        legend.append("replay: share of general text in these tokens, by the schedule and as read.")
    tables = [*aligned(sources, left=2), "", *aligned(languages, left=2), "", *aligned(ranges, left=5), *replay]
    return "\n".join([head, "", *tables, "", *legend])


def _total_row(total: Total, subsets: bool) -> tuple[str, ...]:
    documents = "?" if total.documents is None else f"{'~' if total.documents_estimated else ''}{total.documents:,}"
    counts = (f"{total.tokens:,}", f"{total.share:.4f}", f"{total.blocks:,}", f"{total.epochs:.3f}", documents)
    rest = [total.skipped, total.unread, *([total.outside] if subsets else []), total.tails]
    return (total.name, total.language, *counts, *(f"{tokens:,}" for tokens in rest))


def _range_row(entry: Range) -> tuple[str, ...]:
    total = sum(entry.tokens.values())
    weights = " ".join(f"{name} {weight:.4g}" for name, weight in entry.intended.items())
    read = " ".join(f"{name} {count / total:.4f}" for name, count in entry.tokens.items())
    return (entry.phase, f"{entry.clock[0]:,} to {entry.clock[1]:,}", str(entry.sequence_length), weights, read)


def _replay_lines(ranges: list[Range]) -> list[str]:
    rows = [
        (entry.phase, f"{entry.clock[0]:,} to {entry.clock[1]:,}", *(f"{share:.4f}" for share in entry.replay))
        for entry in ranges
        if entry.replay is not None
    ]
    return ["", *aligned([("replay", "tokens", "intended", "read"), *rows], left=2)] if rows else []
