"""Text to shards: how much memory does a worker take, and does it grow with the input?

    python benchmarks/preprocess_memory.py --english en.jsonl.gz --tokenizer tok/
        [--megabytes 200] [--times 10] [--enlarge letters] [--workers 1 2] [--engine fastokens]

Builds of a text, of one TIMES as long, and of the latter as a single .zst file. The copies of the text are of other
letters, so that an engine meets new words all the time. Peak memory is VmHWM of each process, read fifty times a second
until it ends; pages of libraries and mapped files count in full. What is taken off is the resident memory of a fresh
process with the same imports, tokenizer and engine (and the reference, with which a worker compares it). Target: every
worker below 400 MB above that, whatever the size. Workers of all stages count; with one worker, or a single task, the
command itself is a worker. The process that proves the engine before the work begins does not count.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
from corpus_setting import build_command, corpus_options, family, languages, make_text
from setting import print_header

from megakor.corpus.engines.load import FAST_ENGINES, REFERENCE, installed_version

_INTERVAL = 0.02
_LOADED = """
import sys
from pathlib import Path
from megakor.corpus import preprocess_command
from megakor.corpus.engines.checked import CheckedEngine

engine = CheckedEngine(sys.argv[1], Path(sys.argv[2]))
engine.begin_task()
engine.encode(["a word 말 " * 10_000])
print(Path("/proc/self/status").read_text())
"""


def main() -> None:
    options = _options()
    print_header("Preprocessing: memory", [name for name in (REFERENCE, *FAST_ENGINES) if installed_version(name)])
    engine = options.engine
    bare = _loaded(engine, options.tokenizer)
    print(f"Engine {engine}; a process with imports, tokenizer and engine alone: {bare:.0f} MB. All figures in MB.\n")
    print("| text | workers | input | tasks | worker, peak | above the tokenizer | command, peak |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        for language, source in languages(options).items():
            for times in (1, options.times):
                stem = Path(scratch) / f"{language}-{times}"
                text = make_text(source, stem, options.megabytes * times, options.enlarge).path
                inputs = [text] if times == 1 else [text, _compressed(text)]
                for path in inputs:
                    for workers in options.workers:
                        print(_row(f"{language}, {times}x, {path.suffix}", path, workers, bare, options), flush=True)
                    path.unlink()


def _row(name: str, path: Path, workers: int, bare: float, options: argparse.Namespace) -> str:
    directory = path.parent / "build"
    directory.mkdir()
    command = build_command(path, directory / "text", options.tokenizer, workers, "--engine", options.engine)
    size = path.stat().st_size / 1e6
    peaks, tasks = _peaks(command, directory / "log", directory / "text.work")
    shutil.rmtree(directory)
    first, others = peaks[0], peaks[1:]
    worker = max(peaks) if min(workers, tasks) == 1 or not others else max(others)
    return f"| {name} | {workers} | {size:,.0f} | {tasks} | {worker:.0f} | {worker - bare:.0f} | {first:.0f} |"


def _peaks(command: list[str], log: Path, work: Path) -> tuple[list[float], int]:
    """VmHWM of the command and of all the processes it started, in MB; the number of tasks it had done."""
    peaks: dict[int, float] = {}
    tasks = 0
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        peaks[process.pid] = 0.0
        root = psutil.Process(process.pid)
        while process.poll() is None:
            for member in family(root):
                if member.pid in peaks or "engine: " in log.read_text():  # the proof is over, workers begin
                    with suppress(OSError, ValueError):
                        peaks[member.pid] = _status(Path(f"/proc/{member.pid}/status").read_text(), "VmHWM")
            tasks = max(tasks, len(list(work.glob("encode.*.json"))))
            time.sleep(_INTERVAL)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with exit code {process.returncode}:\n{log.read_text()[-2000:]}")
    return list(peaks.values()), tasks


def _loaded(engine: str, tokenizer: Path) -> float:
    command = [sys.executable, "-c", _LOADED, engine, str(tokenizer)]
    return _status(subprocess.run(command, check=True, capture_output=True, text=True).stdout, "VmRSS")


def _status(text: str, name: str) -> float:
    """A line of /proc/PID/status, in MB. Raises ValueError where it is missing: the process has ended."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024 / 1e6


def _compressed(path: Path) -> Path:
    target = path.with_suffix(".jsonl.zst")
    with path.open("rb") as plain, pa.CompressedOutputStream(str(target), "zstd") as packed:
        while data := plain.read(1 << 20):
            packed.write(data)
    return target


def _options() -> argparse.Namespace:
    parser = corpus_options(__doc__)
    parser.set_defaults(megabytes=200.0, enlarge="letters")
    parser.add_argument("--times", type=int, default=10, help="how much longer the long text is")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    installed = [name for name in FAST_ENGINES if installed_version(name)]
    parser.add_argument("--engine", choices=[*FAST_ENGINES, REFERENCE], default=[*installed, REFERENCE][0])
    return parser.parse_args()


if __name__ == "__main__":
    main()
