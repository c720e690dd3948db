"""See megakor/corpus/preprocess_command.py and docs/corpus.md, or --help."""

import sys

from megakor.corpus.preprocess_command import main

if __name__ == "__main__":
    sys.exit(main())
