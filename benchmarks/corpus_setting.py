"""What the corpus benchmarks share: text in the size asked for, whole commands timed and weighed from outside.

Text is a JSON Lines file for each language. It is used as it is, each document once, or enlarged by further copies:

    words    the words of each document in another order, by a seed: the sentences are new, the words are not;
    letters  the letters of each document replaced by others, the same way all over one copy: the words are new, and
             no longer words of the language, so that there are more tokens to a byte;
    repeat   the documents as they are, which flatters an engine that remembers what it has seen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TOOL = Path(__file__).parents[1] / "tools" / "preprocess_data.py"
FEW = 20
"""Documents of the run that measures the start of a command."""
_HANGUL, _HANGUL_COUNT = 0xAC00, 11172
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Text:
    """Documents of one language on the disk."""

    path: Path
    documents: int
    megabytes: float
    """Of UTF-8 text; 1 MB is 10^6 bytes."""
    made: str = ""
    """How, for the report."""

    def start(self, name: str, megabytes: float | None = None) -> Text:
        """The first documents as a text of its own, called NAME: FEW, or as many as have that many megabytes."""
        path = self.path.with_suffix(f".{name}.jsonl")
        total = documents = 0
        with path.open("w", encoding="utf-8") as start:
            for documents, text in enumerate(read_texts(self.path), 1):
                start.write(_line(text))
                total += len(text.encode())
                if documents == FEW if megabytes is None else total >= megabytes * 1e6:
                    break
        return Text(path, documents, total / 1e6)


@dataclass(frozen=True)
class Peak:
    """Memory of a command and all its descendants, in MB: the largest sum."""

    pss: float
    """Memory that they share is counted once."""
    rss: float
    """Shared memory is counted for each of them."""


def corpus_options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that the corpus benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--korean", type=Path, help=".jsonl or .jsonl.gz with documents under the key text")
    parser.add_argument("--english", type=Path, help="the same; give one language or both")
    parser.add_argument("--tokenizer", type=Path, required=True, help="directory with tokenizer.json")
    parser.add_argument("--megabytes", type=float, help="text of each language; default: each document once")
    parser.add_argument("--enlarge", choices=ENLARGEMENTS, default="words", help="how, if --megabytes asks for more")
    parser.add_argument("--directory", type=Path, help="where everything is made; default: a temporary directory")
    return parser


def languages(options: argparse.Namespace) -> dict[str, Path]:
    """The files given, by language."""
    given = {"Korean": options.korean, "English": options.english}
    if not any(given.values()):
        raise SystemExit("give --korean, --english or both")
    return {name: path for name, path in given.items() if path}


def make_text(source: Path, stem: Path, megabytes: float | None, enlarge: str, seed: int = 1) -> Text:
    """Write STEM.jsonl."""
    path = stem.with_suffix(".jsonl")
    total = documents = copies = 0
    with path.open("w", encoding="utf-8") as whole:
        for copies, text in _texts(source, megabytes is not None, ENLARGEMENTS[enlarge], seed):  # noqa: B007
            whole.write(_line(text))
            total += len(text.encode())
            documents += 1
            if megabytes is not None and total >= megabytes * 1e6:
                break
    made = f"with {copies} further copies, {enlarge}" if copies else "each document once"
    return Text(path, documents, total / 1e6, made)


def _line(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False) + "\n"


def _texts(source: Path, more: bool, enlarge: Enlargement, seed: int) -> Iterator[tuple[int, str]]:
    """Number of the copy and text, for ever if more than one copy is wanted."""
    copy = 0
    while not copy or more:
        change = enlarge(random.Random(seed + copy)) if copy else str
        for text in read_texts(source):
            yield copy, change(text)
        copy += 1


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a JSON Lines file, one at a time."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


Enlargement = Callable[[random.Random], Callable[[str], str]]


def _repeat(chance: random.Random) -> Callable[[str], str]:
    return str


def _words(chance: random.Random) -> Callable[[str], str]:
    def change(text: str) -> str:
        pieces = re.split(r"(\s+)", text)
        words = pieces[::2]
        chance.shuffle(words)
        pieces[::2] = words
        return "".join(pieces)

    return change


def _letters(chance: random.Random) -> Callable[[str], str]:
    table: dict[int, int] = {}
    for first, count in ((ord("a"), 26), (ord("A"), 26), (_HANGUL, _HANGUL_COUNT)):
        letters = list(range(first, first + count))
        table |= dict(zip(letters, chance.sample(letters, count), strict=True))
    return lambda text: text.translate(table)


ENLARGEMENTS: dict[str, Enlargement] = {"words": _words, "letters": _letters, "repeat": _repeat}


def build_command(text: Path, prefix: Path, tokenizer: Path, workers: int, *options: str) -> list[str]:
    """The command that a user types, with the Python of this process."""
    return [
        *(sys.executable, str(TOOL), "--input", str(text), "--tokenizer-model", str(tokenizer)),
        *("--output-prefix", str(prefix), "--append-eod", "--workers", str(workers), *options),
    ]  # fmt: skip


def start_options(few: Text, workers: int) -> tuple[str, str]:
    """Options of a build of a few documents that give every worker a task: else one would start and not the others."""
    return "--task-megabytes", f"{few.path.stat().st_size / 1e6 / workers:.6f}"


def timed(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> float:
    """Seconds of a command, which nothing watches meanwhile. Ends this program if it fails."""
    begun = time.perf_counter()
    process = _start(command, log, environment)
    process.wait()
    seconds = time.perf_counter() - begun
    _require_success(process, log)
    return seconds


def weighed(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Peak:
    """Memory of a command, looked at ten times a second; the looking takes a good part of a core."""
    process = _start(command, log, environment)
    root = psutil.Process(process.pid)
    pss = rss = 0
    while process.poll() is None:
        sums = [0, 0]
        for member in family(root):
            with suppress(psutil.Error, OSError):
                memory = member.memory_full_info()
                sums = [sums[0] + memory.pss, sums[1] + memory.rss]
        pss, rss = max(pss, sums[0]), max(rss, sums[1])
        time.sleep(_SAMPLE_SECONDS)
    _require_success(process, log)
    return Peak(pss / 1e6, rss / 1e6)


def _start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    with log.open("w") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def _require_success(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.returncode:
        command = " ".join(map(str, process.args))  # type: ignore[arg-type]
        raise SystemExit(f"{command}\nended with exit code {process.returncode}:\n{log.read_text()[-2000:]}")


def family(root: psutil.Process) -> Iterable[psutil.Process]:
    """A process and all its descendants that are still there."""
    with suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median [smallest-largest]."""
    ordered = (statistics.median(values), min(values), max(values))
    middle, low, high = (f"{value:,.{digits}f}" for value in ordered)
    return f"{middle} [{low}-{high}]"
