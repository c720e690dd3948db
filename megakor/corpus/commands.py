"""The command lines of the corpus tools: arguments in, exit code out. tools/*.py call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from megakor.corpus.sample import write_sample_corpus
from megakor.errors import ExitCode, MegakorError, report


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(action: Callable[[], object]) -> int:
    try:
        action()
    except MegakorError as error:
        return report(error)
    return int(ExitCode.DONE)


def make_sample_corpus(arguments: Sequence[str] | None = None) -> int:
    """`tools/make_sample_corpus.py`. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write a synthetic Korean and English corpus as JSON Lines.")
    parser.add_argument("--output", type=Path, required=True, metavar="DIRECTORY", help="gets ko.jsonl and en.jsonl")
    parser.add_argument("--megabytes", type=float, default=3.0, help="of text, for each language")
    parser.add_argument("--seed", type=int, default=1234)
    given = parser.parse_args(arguments)

    def action() -> None:
        for path, documents in write_sample_corpus(given.output, given.megabytes, given.seed).items():
            _log(f"{path}: {documents:,} documents")

    return _run(action)
