"""Time and memory from nothing to the first batch in memory, in a cold process, on data far too large to index.

    python benchmarks/data_startup.py [--documents 50000000] [--directory DIR]

Two worlds are made of sparse files: four sources of 10^9 blocks of 4,096 tokens each, and one source whose real .idx
lists 5*10^7 documents (1 GB). The page cache of their files is dropped before each run where the system allows it. The
first batch is 64 rows: files opened and checked, order and mixture planned, tokens, segments and positions read.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, LENGTH = 64, 4096
REPEATS = 5


def main() -> None:
    options = _options()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        root = Path(directory)
        worlds = {"4 sources of 10^9 blocks": [_huge_shard(root / f"huge{number}") for number in range(4)]}
        worlds[f"1 source of {options.documents:,} documents"] = [_long_index(root / "documents", options.documents)]
        print("| world | first batch, median | slowest | memory it added | peak of the process | imports |")
        print("|---|---|---|---|---|---|")
        for name, prefixes in worlds.items():
            print(_row(name, [_cold_run(prefixes) for _ in range(REPEATS)]))


def measure(prefixes: list[str]) -> dict[str, float]:
    """In a fresh process: seconds for the imports and for the first batch, and memory in MB."""
    begun = time.perf_counter()
    from megakor.config.schema import Config
    from megakor.config.schema_data import PhaseConfig, SourceConfig
    from megakor.curriculum.schedule import Schedule
    from megakor.data.rows import read_rows
    from megakor.data.sources import open_sources
    from megakor.data.stream import TokenStream

    imported, before = time.perf_counter(), _peak_megabytes()
    config = Config()
    config.data.sources = {f"source{number}": SourceConfig(path) for number, path in enumerate(prefixes)}
    config.data.phases = [PhaseConfig(weights=dict.fromkeys(config.data.sources, 1.0))]
    config.train.global_batch_size, config.train.sequence_length = ROWS * LENGTH, LENGTH
    sources = open_sources(config, LENGTH)
    stream = TokenStream(sources, Schedule.compile(config), config.data.window_blocks)
    batch = read_rows(stream.sources, stream.next_batch().rows, LENGTH)
    done = time.perf_counter()
    return {
        "imports": imported - begun,
        "batch": done - imported,
        "added": _peak_megabytes() - before,
        "peak": _peak_megabytes(),
        "segments": float(batch.segments_BS.max() + 1),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000_000)
    parser.add_argument("--directory", help="where the files are made (about 1.1 GB of real data)")
    parser.add_argument("--measure", nargs="+", metavar="PREFIX", help="measure these shards in this process")
    return parser.parse_args()


def _row(name: str, runs: list[dict[str, float]]) -> str:
    seconds = sorted(run["batch"] for run in runs)
    added, peak = max(run["added"] for run in runs), max(run["peak"] for run in runs)
    imports = sorted(run["imports"] for run in runs)[len(runs) // 2]
    return (
        f"| {name} | {seconds[len(runs) // 2] * 1000:.0f} ms | {seconds[-1] * 1000:.0f} ms | {added:.0f} MB "
        f"| {peak:.0f} MB | {imports * 1000:.0f} ms |"
    )


def _cold_run(prefixes: list[Path]) -> dict[str, float]:
    for prefix in prefixes:
        for suffix in (".bin", ".idx"):
            _drop_from_page_cache(prefix.with_suffix(suffix))
    command = [sys.executable, __file__, "--measure", *map(str, prefixes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _drop_from_page_cache(path: Path) -> None:
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _huge_shard(prefix: Path, blocks: int = 10**9) -> Path:
    """A sparse shard of documents of 2^30 tokens each."""
    import numpy as np

    document = 1 << 30
    count = -(-(blocks * LENGTH + 1) // document)
    lengths = np.full(count, document, np.int32)
    lengths[-1] -= int(prefix.name[-1])  # four different shards
    _write_index(prefix, lengths)
    return prefix


def _long_index(prefix: Path, documents: int) -> Path:
    """A shard with a real index of many documents of 200 to 1,800 tokens; the tokens are a hole."""
    import numpy as np

    _write_index(prefix, np.random.default_rng(0).integers(200, 1800, documents, dtype=np.int32))
    return prefix


def _write_index(prefix: Path, lengths_D: object) -> None:
    """PREFIX.idx for documents of these lengths (uint16 tokens) and a sparse PREFIX.bin. D documents."""
    import numpy as np

    lengths = np.asarray(lengths_D, np.int32)
    ends = np.cumsum(lengths, dtype=np.int64) * 2
    with open(prefix.with_suffix(".idx"), "wb") as file:
        file.write(struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, len(lengths), len(lengths) + 1))
        lengths.tofile(file)
        np.concatenate(([0], ends[:-1])).tofile(file)
        np.arange(len(lengths) + 1, dtype=np.int64).tofile(file)
        file.flush()
        os.fsync(file.fileno())
    with open(prefix.with_suffix(".bin"), "wb") as file:
        file.truncate(int(ends[-1]))


def _peak_megabytes() -> float:
    """Largest resident memory of this process; getrusage would report that of the parent it was forked from."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
