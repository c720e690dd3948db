"""See megakor/corpus/preprocess_command.py and docs/corpus.md, or --help."""

import sys

from megakor.tool import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("megakor.corpus.preprocess_command", "main"))
