"""One thread for every engine: the build runs one process per core."""

from __future__ import annotations

import os


def use_one_thread() -> None:
    """Tell the engines' thread pools to hold one thread; call it before the first text of the process is encoded.

    The pools are made at their library's first use and never change. `load_engine` calls this, so that only a process
    that used a library with many threads before (to train a tokenizer, say) keeps them.
    """
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
