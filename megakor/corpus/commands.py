"""The command lines of the corpus tools: arguments in, exit code out. tools/*.py call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.sample import write_sample_corpus
from megakor.errors import ExitCode
from megakor.units import counted


def make_sample_corpus(arguments: Sequence[str] | None = None) -> int:
    """`tools/make_sample_corpus.py`. Returns the exit code; raises MegakorError."""
    parser = argparse.ArgumentParser(description="Write a synthetic Korean and English corpus as JSON Lines.")
    parser.add_argument("--output", type=Path, required=True, metavar="DIRECTORY", help="gets ko.jsonl and en.jsonl")
    parser.add_argument("--megabytes", type=float, default=3.0, help="of text, for each language (default: 3)")
    parser.add_argument("--seed", type=int, default=1234, help="of the text (default: 1234)")
    given = parser.parse_args(arguments)
    for path, documents in write_sample_corpus(given.output, given.megabytes, given.seed).items():
        print(f"{path}: {counted(documents, 'document')}", file=sys.stderr, flush=True)
    return int(ExitCode.DONE)
