"""See megakor/corpus/commands.py and docs/corpus.md, or --help."""

import sys

from megakor.tool import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("megakor.corpus.commands", "make_sample_corpus"))
