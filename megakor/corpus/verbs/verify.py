"""`megakor corpus verify`: are these shards whole, unchanged, and of one another?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from megakor.corpus.inspection.manifest_check import KnownTokenizer
from megakor.corpus.inspection.prefixes import named_shards
from megakor.corpus.inspection.verify import Advance, ShardReport, VerifyOptions, verify_shard
from megakor.corpus.shard import bin_path
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ExitCode
from megakor.units import counted


def main(arguments: Sequence[str]) -> int:
    """Check shards and print what is wrong with them; 65 when something is."""
    given = _parser().parse_args(arguments)
    prefixes = named_shards(given.shards)
    options = VerifyOptions(given.quick, given.workers, _tokenizer(given.tokenizer), given.findings)
    sizes = {prefix: _size(bin_path(prefix)) for prefix in prefixes}
    reports = []
    with _progress(sum(sizes.values()), shown=not (given.quick or given.json)) as advance:
        for prefix in prefixes:
            report = verify_shard(prefix, options, advance)
            reports.append(report)
            if not given.json:
                print("\n".join(_lines(report, given.quick)), flush=True)
    if given.json:
        print(json.dumps([_record(report) for report in reports], ensure_ascii=False, indent=2))
    return ExitCode.DATA if any(report.findings.count or report.unreadable for report in reports) else ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor corpus verify",
        description="Check .bin, .idx, .parquet and .json of shards against each other, and every document against "
        "its checksum. Documents are counted from 0. Exit code 65 when anything is damaged, of another "
        "tokenizer, or may not be read.",
    )
    add = parser.add_argument
    add("shards", nargs="+", type=Path, metavar="PREFIX", help="shards, or directories of them")
    add("--tokenizer", type=Path, metavar="DIRECTORY", help="the tokenizer that the shards should be made with")
    add("--quick", action="store_true", help="sizes, headers and counts only; takes no time")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes for large shards (default: all cores)")
    add("--findings", type=int, default=20, metavar="N", help="print at most N a shard (default: 20)")
    add("--json", action="store_true", help="for programs")
    return parser


def _tokenizer(path: Path | None) -> KnownTokenizer | None:
    if path is None:
        return None
    tokenizer = Tokenizer.load(path)
    return KnownTokenizer(str(path), tokenizer.sha256, tokenizer.vocabulary_size)


def _lines(report: ShardReport, quick: bool) -> Iterator[str]:
    found = report.findings
    well = "nothing wrong at a quick look" if quick else "whole"
    padding = f" and {report.padding:,} of padding" if report.padding else ""
    documents = counted(report.documents, "row" if report.rows else "document")
    extent = f"{documents}, {counted(report.tokens, 'token')}{padding}, {report.bytes / 1e6:,.1f} MB"
    if report.unreadable:
        yield f"{report.prefix}: NOT CHECKED (it may not be read)"
    elif found.damaged:
        yield f"{report.prefix}: DAMAGED ({counted(found.count, 'finding')})"
    elif found.count:
        yield f"{report.prefix}: OTHER TOKENIZER, else {well} ({extent})"
    else:
        yield f"{report.prefix}: {well} ({extent})"
    yield from (f"  {clause}" for clause in report.unreadable)
    yield from (f"  {finding}" for finding in found.kept)
    if found.count > len(found.kept):
        yield f"  and {found.count - len(found.kept):,} more (--findings shows more)"
    yield from (f"  not checked: {what}" for what in report.unchecked if not quick)


def _record(report: ShardReport) -> dict[str, object]:
    return {
        "prefix": str(report.prefix),
        "damaged": report.findings.damaged,
        "other_tokenizer": report.findings.harmless > 0,
        "rows": report.rows,
        "unreadable": report.unreadable,
        "documents": report.documents,
        "tokens": report.tokens,
        "padding_tokens": report.padding,
        "findings": report.findings.count,
        "first_findings": [{"path": str(finding.path), "message": finding.message} for finding in report.findings.kept],
        "checked": report.checked,
        "not_checked": report.unchecked,
    }


@contextmanager
def _progress(total: int, shown: bool) -> Iterator[Advance]:
    """A bar on a terminal; nothing elsewhere."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("verify"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verify", total=total)
        yield lambda done: bar.advance(task, done)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
