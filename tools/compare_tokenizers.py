"""See megakor/corpus/tokenizer_commands.py and docs/tokenizer.md, or --help."""

import sys

from megakor.tool import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("megakor.corpus.tokenizer_commands", "compare_tokenizers_command"))
