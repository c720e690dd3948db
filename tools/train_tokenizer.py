"""See megakor/corpus/tokenizer_commands.py and docs/tokenizer.md, or --help."""

import sys

from megakor.corpus.tokenizer_commands import train_tokenizer_command

if __name__ == "__main__":
    sys.exit(train_tokenizer_command())
