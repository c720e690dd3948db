"""`megakor corpus stats`: what is in these shards."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.inspection.prefixes import named_shards
from megakor.corpus.inspection.statistics import measure
from megakor.corpus.inspection.statistics_text import statistics_record, statistics_text
from megakor.errors import ExitCode


def main(arguments: Sequence[str]) -> int:
    """Print the statistics of shards together, and draw them on request."""
    given = _parser().parse_args(arguments)
    statistics = measure(named_shards(given.shards), given.by, duplicates=not given.no_duplicates)
    if given.json:
        print(json.dumps(statistics_record(statistics), ensure_ascii=False, indent=2))
    else:
        print(statistics_text(statistics, given.top))
    if given.plot is not None:
        from megakor.corpus.inspection.statistics_plot import plot_statistics

        plot_statistics(statistics, given.plot)
        print(f"wrote {given.plot}", file=sys.stderr)
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor corpus stats",
        description="Documents, tokens, bytes of text, lengths, shares of languages and sources, and duplicates.",
    )
    add = parser.add_argument
    add("shards", nargs="+", type=Path, metavar="PREFIX", help="shards, or directories of them")
    add("--by", action="append", default=[], metavar="FIELD", help="shares of another field too; several times")
    add("--top", type=int, default=20, metavar="N", help="values shown of each field (default: 20)")
    add("--no-duplicates", action="store_true", help="read no tokens; index and metadata only")
    add("--plot", type=Path, metavar="FILE", help="draw a picture (.png, .svg, .pdf; needs matplotlib)")
    add("--json", action="store_true", help="for programs")
    return parser
