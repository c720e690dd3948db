"""Text to shards: how much faster do more workers make it?

    python benchmarks/preprocess_scaling.py --korean ko.jsonl.gz --english en.jsonl.gz --tokenizer tok/
        [--megabytes 200] [--enlarge words] [--workers 1 2] [--engines auto tokenizers] [--rounds 3]

Whole commands timed from outside, in turns; the same command on 20 documents, once a round, is the start-up, and its
median is taken off. Speed-ups are to the first number of workers, within each round; "ideal" is their quotient.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from corpus_setting import Text, build_command, corpus_options, languages, make_text, spread, start_options, timed
from setting import print_header

from megakor.corpus.engines.load import ENGINE_NAMES, FAST_ENGINES, REFERENCE, installed_version


def main() -> None:
    options = _options()
    print_header("Preprocessing: workers", [name for name in (REFERENCE, *FAST_ENGINES) if installed_version(name)])
    print("| text | engine | workers | MB/s, whole command | MB/s, less start-up | speed-up | ideal |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        for language, source in languages(options).items():
            text = make_text(source, Path(scratch) / language, options.megabytes, options.enlarge)
            for engine in options.engines:
                _report(f"{language}, {text.megabytes:.0f} MB ({text.made})", text, engine, options, Path(scratch))


def _report(name: str, text: Text, engine: str, options: argparse.Namespace, scratch: Path) -> None:
    few = text.start("few")
    wholes: dict[int, list[float]] = {workers: [] for workers in options.workers}
    starts: dict[int, list[float]] = {workers: [] for workers in options.workers}
    for number in range(options.rounds):
        for workers in options.workers if number % 2 == 0 else reversed(options.workers):
            starts[workers].append(
                _seconds(few, workers, engine, options.tokenizer, scratch, start_options(few, workers))
            )
            wholes[workers].append(_seconds(text, workers, engine, options.tokenizer, scratch))
    first = options.workers[0]
    steady = {
        workers: [max(whole - statistics.median(starts[workers]), 1e-3) for whole in found]
        for workers, found in wholes.items()
    }
    for workers in options.workers:
        rates = [text.megabytes / seconds for seconds in wholes[workers]]
        rest = [(text.megabytes - few.megabytes) / seconds for seconds in steady[workers]]
        gain = [base / seconds for base, seconds in zip(steady[first], steady[workers], strict=True)]
        ideal = f"{workers / first:g}"
        print(
            f"| {name} | {engine} | {workers} | {spread(rates)} | {spread(rest)} | {spread(gain, 2)} | {ideal} |",
            flush=True,
        )


def _seconds(
    text: Text, workers: int, engine: str, tokenizer: Path, scratch: Path, further: Sequence[str] = ()
) -> float:
    directory = scratch / "build"
    directory.mkdir()
    command = build_command(text.path, directory / "text", tokenizer, workers, "--engine", engine, *further)
    seconds = timed(command, directory / "log")
    shutil.rmtree(directory)
    return seconds


def _options() -> argparse.Namespace:
    parser = corpus_options(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=ENGINE_NAMES, default=["auto"])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
