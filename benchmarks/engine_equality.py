"""Do the engines give the ids of their reference, how fast are they on one thread, how much memory do they take?

    python benchmarks/engine_equality.py --tokenizer tok/ --text ko=ko.jsonl en=en.jsonl
        [--patterns own o200k llama3 hangul] [--strings 20000] [--megabytes 20] [--engines fastokens gigatoken]

Every tokenizer is taken as it is (own) and with other pieces put in its place. Each engine runs in a process of its
own, on one thread; MB/s are of UTF-8 text per second of processor time, each document met once. "texts" counts the
seeded adversarial strings, one for every token of the vocabulary and for every character of Unicode, and the documents
of all languages.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import tokenizers
from tokenizers import pre_tokenizers

from megakor.corpus.engines.adversarial import adversarial_texts
from megakor.corpus.engines.engine import Engine
from megakor.corpus.engines.failure import EngineFailureError, engine_failures
from megakor.corpus.engines.load import FAST_ENGINES, REFERENCE, installed_version, load_engine
from megakor.corpus.engines.proof import spelt_tokens
from megakor.corpus.tokenizer_patterns import pieces_pattern
from megakor.text_table import aligned

BATCH_CHARACTERS = 1 << 20
OWN = "own"


def main() -> None:
    options = _options()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    with tempfile.TemporaryDirectory() as directory:
        rows = [("tokenizer", "pieces", "engine", *_HEADINGS, *(f"MB/s {name}" for name in options.text))]
        for path in options.tokenizer:
            for pieces in options.patterns:
                world = Path(directory) / f"{path.name}-{pieces}"
                _make_world(world, path, pieces, options)
                for engine in (REFERENCE, *options.engines):
                    rows.append(
                        (
                            path.name,
                            pieces,
                            f"{engine} {installed_version(engine)}",
                            *_run(world, engine, list(options.text)),
                        )
                    )
                    print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        print("\n".join(aligned(rows, left=3)))


_HEADINGS = ("texts", "mismatches", "failures", "loaded MB", "peak MB")


def _run(world: Path, engine: str, languages: Sequence[str]) -> tuple[str, ...]:
    command = [sys.executable, __file__, "--measure", str(world), engine]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if "refused" in found:
        print(f"{world.name}, {engine}: {found['refused']}", file=sys.stderr)
        return "refused", *[""] * (len(_HEADINGS) - 1 + len(languages))
    counts = (f"{found[name]:,}" for name in ("texts", "mismatches", "failures"))
    sizes = (f"{found[name]:.0f}" for name in ("loaded", "peak"))
    return *counts, *sizes, *(f"{speed:.1f}" for speed in map(found["speeds"].get, languages))


def measure(world: str, name: str) -> dict[str, object]:
    """In a fresh process: the engine over all texts of a world, compared with the reference's ids if they are there."""
    root = Path(world)
    process = psutil.Process()
    before = process.memory_info().rss
    try:
        with engine_failures("refused"):
            engine = load_engine(name, root)
    except EngineFailureError as failure:
        return {"refused": str(failure)}
    loaded = peak = process.memory_info().rss
    counts, speeds = np.zeros(3, dtype=np.int64), {}
    for file in sorted(root.glob("*.jsonl")):
        size = seconds = 0.0
        for number, texts in enumerate(_batches(file)):
            begun = time.process_time()
            answers = _encode(engine, texts)
            seconds += time.process_time() - begun
            peak = max(peak, process.memory_info().rss)
            size += sum(len(text.encode()) for text in texts)
            counts += _compare(answers, root / f"{file.stem}-{number}.npz", name)
        if "-" not in file.stem:
            speeds[file.stem] = size / seconds / 1e6
    megabytes = {"loaded": (loaded - before) / 1e6, "peak": (peak - before) / 1e6}
    return dict(zip(("texts", "mismatches", "failures"), counts.tolist(), strict=True)) | megabytes | {"speeds": speeds}


def _encode(engine: Engine, texts: list[str]) -> list[np.ndarray | None]:
    """The ids of each text; None for one at which the engine fails."""
    try:
        with engine_failures("fails"):
            ids, offsets = engine.encode(texts)
            return [ids[start:stop] for start, stop in pairwise(offsets)]
    except EngineFailureError:
        return [None] if len(texts) == 1 else [_encode(engine, [text])[0] for text in texts]


def _compare(answers: list[np.ndarray | None], kept: Path, name: str) -> tuple[int, int, int]:
    """Texts, mismatches and failures. The reference leaves its ids for the others."""
    if name == REFERENCE:
        np.savez(kept, *(answer for answer in answers if answer is not None))
    with np.load(kept) as right:
        wrong = sum(
            answer is not None and not np.array_equal(answer, right[f"arr_{index}"])
            for index, answer in enumerate(answers)
        )
    return len(answers), wrong, sum(answer is None for answer in answers)


def _make_world(world: Path, tokenizer: Path, pieces: str, options: argparse.Namespace) -> None:
    """A directory with tokenizer.json and the texts, one JSON string a line; a dash marks texts without a speed."""
    world.mkdir(parents=True)
    encoder = tokenizers.Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    if pieces != OWN:
        split = pre_tokenizers.Split(tokenizers.Regex(pieces_pattern(pieces)), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        encoder.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    encoder.save(str(world / "tokenizer.json"))
    tokens = spelt_tokens(encoder, encoder.get_vocab_size())
    _write(world / "-adversarial.jsonl", adversarial_texts(tokens[:4000], options.strings, options.seed))
    _write(world / "-vocabulary.jsonl", tokens)
    _write(world / "-characters.jsonl", _characters())
    for language, path in options.text.items():
        _write(world / f"{language}.jsonl", _documents(path, options.megabytes * 1e6))


def _write(path: Path, texts: Iterator[str] | list[str]) -> None:
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")


def _characters() -> Iterator[str]:
    """Every character that has a meaning by this Python's Unicode, among letters, digits and spaces."""
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character) not in ("Cn", "Co", "Cs"):
            yield f"a{character}b 1{character}2.{character}{character} {character}A"


def _documents(path: Path, room: float) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            room -= len(text.encode())
            if room < 0:
                return
            yield text


def _batches(file: Path) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            batch.append(json.loads(line))
            characters += len(batch[-1])
            if characters >= BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", nargs="+", type=Path, default=[], help="directories with tokenizer.json")
    parser.add_argument("--text", nargs="+", default=[], metavar="LANGUAGE=FILE", help=".jsonl or .jsonl.gz")
    parser.add_argument("--patterns", nargs="+", default=[OWN], help=f"{OWN}, or families of tokenizer_patterns")
    parser.add_argument("--strings", type=int, default=20_000, help="adversarial strings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--megabytes", type=float, default=20.0, help="of each language, at most")
    parser.add_argument("--engines", nargs="*", default=list(FAST_ENGINES))
    parser.add_argument("--measure", nargs=2, metavar=("WORLD", "ENGINE"), help="measure in this process")
    options = parser.parse_args()
    options.text = {name: Path(path) for name, path in (item.split("=", 1) for item in options.text)}
    return options


if __name__ == "__main__":
    main()
