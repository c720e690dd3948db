"""See megakor/corpus/tokenizer_commands.py and docs/tokenizer.md, or --help."""

import sys

from megakor.corpus.tokenizer_commands import compare_tokenizers_command

if __name__ == "__main__":
    sys.exit(compare_tokenizers_command())
