"""One thread for every engine: the build runs one process per core."""

from __future__ import annotations

import os


def use_one_thread() -> None:
    """Tell the engines' thread pools to hold one thread; call it before the first text of the process is encoded.

    The pools are made at their library's first use and never change. `load_engine` calls this, so that only a process
    that used a library with many threads before (to train a tokenizer, say) keeps them.

    `tokenizers` does not get TOKENIZERS_PARALLELISM=false, with which it encodes in the thread of Python: there its
    many small pieces of memory lie between those of the texts, and a worker is a sixth slower than with a pool of one
    thread, whose memory is its own (benchmarks/README.md, Throughput). Without the variable it also sees to it that a
    fork of this process does not wait for a pool that it does not have.
    """
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ.pop("TOKENIZERS_PARALLELISM", None)
