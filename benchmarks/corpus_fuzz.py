"""Damaged inputs and damaged shards, ten thousand of them: is any damage missed, does anything end in a traceback?

    python benchmarks/corpus_fuzz.py [--cases 12000] [--workers 2] [--seed 0]

Every case takes a whole file, damages it in one of the ways of tests/unit/damages.py and reads it again. Inputs must be
read, refused in a sentence, or lose documents only with a counted problem. For shards `verify` must report every damage
that changes what a file says ("reported" or "harmless"), and the readers of training and of the corpus operations must
refuse it in a sentence or give documents that fit together. Each row runs in a process of its own, so that a crash of a
library is seen too. The last line says how many cases were missed or broke; the exit code is 1 if any did.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

from corpus_inputs_world import read_all
from damages import KINDS, damaged
from setting import print_header
from test_corpus_inputs_fuzz import FIELDS, MAKERS, PIECES, make_jsonl
from whole_shards import random_documents, write_whole_shard

from megakor.cli import main as megakor
from megakor.corpus.inspection.verify import VerifyOptions, verify_shard
from megakor.corpus.operations.stream import read_documents
from megakor.corpus.row_file import RowFile
from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import shard_file
from megakor.errors import MegakorError

SHARD_SUFFIXES = (".bin", ".idx", ".parquet", ".json", ".rows.arrow")
OUTCOMES = ("read", "with problems", "refused", "reported", "harmless", "MISSED", "TRACEBACK", "CRASH")
BAD = ("MISSED", "TRACEBACK", "CRASH")
Case = Callable[[Path, int], str]


def main() -> int:
    options = _options()
    cases = _cases()
    count = -(-options.cases // len(cases))
    started = time.monotonic()
    totals: Counter[str] = Counter()
    print_header("Damaged inputs and shards", ("pyarrow", "numpy"))
    print(f"| what | cases | {' | '.join(OUTCOMES)} |\n|{'---|' * (2 + len(OUTCOMES))}")
    for name, case in cases.items():
        outcomes = _spread(case, count, options)
        totals += outcomes
        print(_line(name, outcomes), flush=True)
    print(_line("all", totals))
    bad = sum(totals[one] for one in BAD)
    print(f"\n{sum(totals.values()):,} cases in {time.monotonic() - started:.0f} s, {bad:,} missed or broken")
    return 1 if bad else 0


def _line(name: str, outcomes: Counter[str]) -> str:
    counts = " | ".join(f"{outcomes[one]:,}" if outcomes[one] else "" for one in OUTCOMES)
    return f"| {name} | {sum(outcomes.values()):,} | {counts} |"


def _cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for name in (*MAKERS, "a.jsonl"):
        cases[f"input {name}"] = partial(_damaged_input, name)
    cases["input of random bytes"] = _random_input
    cases["input of pieces of JSON"] = _random_json
    for suffix in SHARD_SUFFIXES:
        cases[f"verify, {suffix} damaged"] = partial(_verified, suffix)
        cases[f"read, {suffix} damaged"] = partial(_read, suffix)
    return cases


def _spread(case: Case, count: int, options: argparse.Namespace) -> Counter[str]:
    """The outcomes of `count` cases, in processes."""
    step = -(-count // options.workers)
    seeds = [range(options.seed + start, options.seed + min(start + step, count)) for start in range(0, count, step)]
    total: Counter[str] = Counter()
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for future in [pool.submit(_run, case, some) for some in seeds]:
            try:
                total += future.result()
            except BrokenProcessPool:
                total["CRASH"] += 1
    return total


def _run(case: Case, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        for seed in seeds:
            try:
                outcome = case(Path(directory), seed)
            except Exception as error:  # the very thing that is looked for
                outcome = "TRACEBACK"
                print(f"{case} seed {seed}: {error!r}", file=sys.stderr)
            if outcome == "MISSED":
                print(f"{case} seed {seed}: missed", file=sys.stderr)
            outcomes[outcome] += 1
    return outcomes


def _damaged_input(name: str, directory: Path, seed: int) -> str:
    path, whole = directory / name, directory / "whole" / name
    if not whole.exists():
        whole.parent.mkdir(exist_ok=True)
        MAKERS.get(name, make_jsonl)(whole, random.Random(name))
    numbers = random.Random(seed)
    content, kind = whole.read_bytes(), KINDS[seed % len(KINDS)]
    path.write_bytes(damaged(content, kind, numbers))
    outcome = _input_outcome(path, numbers.choice([700, 1 << 20]))
    cut = kind in ("cut", "emptied") and path.stat().st_size < len(content)
    if outcome == "read" and cut and name != "a.jsonl" and path.stat().st_size:
        return "MISSED"
    return outcome


def _random_input(directory: Path, seed: int) -> str:
    numbers = random.Random(seed)
    path = directory / numbers.choice([*MAKERS, "a.jsonl", "a.txt"])
    path.write_bytes(numbers.randbytes(numbers.randrange(1, 600)))
    return _input_outcome(path, numbers.choice([30, 1 << 20]))


def _random_json(directory: Path, seed: int) -> str:
    numbers, path = random.Random(seed), directory / "a.jsonl"
    content = b"".join(numbers.choices(PIECES, k=numbers.randrange(1, 80)))
    path.write_bytes(content)
    try:
        read = read_all(path, FIELDS, numbers.choice([7, 50, 1 << 20]))
    except MegakorError as error:
        return _refused(error, path)
    lines = sum(bool(line.strip()) for line in content.split(b"\n"))
    if len(read.texts) + len(read.problems) != lines:
        return "MISSED"
    return "with problems" if read.problems else "read"


def _input_outcome(path: Path, task_bytes: int) -> str:
    try:
        read = read_all(path, FIELDS, task_bytes)
    except MegakorError as error:
        return _refused(error, path)
    return "with problems" if read.problems else "read"


def _shard(directory: Path) -> Path:
    """A whole shard of rows, so that it has every file."""
    prefix = directory / "rows"
    if not shard_file(prefix, ".idx").exists():
        plain = write_whole_shard(directory / "plain", random_documents(1, 80))
        words = ["corpus", "regroup", str(plain), "--output", str(prefix), "--row-tokens", "64", "--pad-id", "1"]
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            code = megakor(words)
        if code:
            raise RuntimeError("the shard could not be made")
    return prefix


def _with_damage(directory: Path, suffix: str, seed: int, look: Callable[[Path, Path, bytes], str]) -> str:
    """What `look` says of a shard, one file of which is damaged; the file is whole again afterwards."""
    prefix = _shard(directory)
    path = shard_file(prefix, suffix)
    before = path.read_bytes()
    try:
        path.write_bytes(damaged(before, KINDS[seed % len(KINDS)], random.Random(f"{suffix} {seed}")))
        return look(prefix, path, before)
    finally:
        path.write_bytes(before)


def _verified(suffix: str, directory: Path, seed: int) -> str:
    def look(prefix: Path, path: Path, before: bytes) -> str:
        verify_shard(prefix, VerifyOptions(quick=True))
        if verify_shard(prefix, VerifyOptions()).findings.count:
            return "reported"
        return "harmless" if _means_the_same(path, before) else "MISSED"

    return _with_damage(directory, suffix, seed, look)


def _read(suffix: str, directory: Path, seed: int) -> str:
    def look(prefix: Path, path: Path, before: bytes) -> str:
        try:
            shard = ShardReader(prefix)
            starts = shard.boundaries(0, shard.tokens)
            ids = shard.read(0, shard.tokens)
            documents = sum(batch.documents for batch in read_documents(prefix))
            rows = RowFile(prefix)
            documents += sum(rows.row(number).tokens > rows.row_tokens for number in range(rows.rows))
        except MegakorError as error:
            return _refused(error, path.parent)
        fits = len(ids) == shard.tokens and documents == shard.documents and ((starts > 0) & (starts < len(ids))).all()
        return "read" if fits else "MISSED"

    return _with_damage(directory, suffix, seed, look)


def _means_the_same(path: Path, before: bytes) -> bool:
    if path.read_bytes() == before:
        return True
    try:
        old, new = json.loads(before), json.loads(path.read_bytes())
        return all(new.get(key) == value for key, value in old.items())
    except (ValueError, AttributeError):
        return False


def _refused(error: MegakorError, place: Path) -> str:
    """A sentence that names the file is a refusal; one that does not is no help."""
    return "refused" if str(place) in str(error) else "TRACEBACK"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=12_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
