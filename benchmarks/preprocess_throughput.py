"""Text to shards: how many times faster than Megatron-LM, and how near to what the tokenizer's library can do?

    python benchmarks/preprocess_throughput.py --korean ko.jsonl.gz --english en.jsonl.gz --tokenizer tok/
        [--megabytes 400] [--slow-megabytes 80] [--enlarge words] [--workers 2] [--rounds 3] [--megatron-lm DIR]

Four contestants, one after the other in each round, the order turning from round to round:

    Megatron-LM   tools/preprocess_data.py of the checkout in DIR
    MegaKor       tools/preprocess_data.py, engine auto
    tokenizers    tools/preprocess_data.py --engine tokenizers
    ceiling       encode_batch_fast of tokenizers alone, one process per worker on one thread each, the texts in
                  memory, nothing written; the rates of the processes are added, each over its own time

The first three are whole commands, timed from outside. The same command on 20 documents, cut so that every worker
starts, is timed once a round, and its median over the rounds is taken off as start-up. Text is made as
corpus_setting.py says. MegaKor, which would be done with a text that suits the others before it has been timed well,
takes all of it; the others take the first --slow-megabytes, if these are given, and every rate is over the text that
was encoded. Memory is weighed in runs of their own after the rounds, on the shorter text. On that one, too, a build of
MegaKor in the order of the input is compared with Megatron-LM's .bin and .idx byte by byte, and the builds by the two
engines with each other.

DIR must hold tools/preprocess_data.py and what it imports of `megatron`; DIR stands first on its PYTHONPATH. What was
run for the figures in benchmarks/README.md is said there.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tokenizers
from corpus_setting import (
    Peak,
    Text,
    build_command,
    corpus_options,
    languages,
    make_text,
    read_texts,
    spread,
    start_options,
    timed,
    weighed,
)
from setting import print_header

from megakor.corpus.engines.load import FAST_ENGINES, REFERENCE, installed_version

MEGATRON, MEGAKOR, REFERENCE_BUILD, CEILING = "Megatron-LM", "MegaKor", "MegaKor, tokenizers", "ceiling"
BATCH_CHARACTERS = 1 << 20


@dataclass
class Results:
    """Of one contestant, a value for each round. Rates are MB of text per second."""

    text: Text
    few: Text
    runs: list[float] = field(default_factory=list)
    """Seconds."""
    starts: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Of the ceiling, which is no command."""

    @property
    def whole(self) -> list[float]:
        return [self.text.megabytes / seconds for seconds in self.runs]

    @property
    def seconds(self) -> list[float]:
        """Less the median start-up."""
        return [seconds - statistics.median(self.starts) for seconds in self.runs]

    @property
    def steady(self) -> list[float]:
        """Less start-up."""
        megabytes = self.text.megabytes - self.few.megabytes
        return self.rates or [megabytes / max(seconds, 1e-3) for seconds in self.seconds]


def main() -> None:
    options = _options()
    if options.encode:
        encode_share(*options.encode)
        return
    print_header("Preprocessing: throughput", [name for name in (REFERENCE, *FAST_ENGINES) if installed_version(name)])
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        for language, source in languages(options).items():
            text = make_text(source, Path(scratch) / language, options.megabytes, options.enlarge)
            print(f"{language}: {text.documents:,} documents, {text.megabytes:.1f} MB ({text.made})\n", flush=True)
            _Arena(options, text, Path(scratch)).report()


class _Arena:
    """The contestants on the text of one language."""

    def __init__(self, options: argparse.Namespace, text: Text, scratch: Path) -> None:
        self._options, self._text, self._scratch = options, text, scratch
        self._few = text.start("few")
        self._part = text if options.slow_megabytes is None else text.start("part", options.slow_megabytes)
        self._names = [MEGATRON] if options.megatron_lm else []
        self._names += [MEGAKOR, REFERENCE_BUILD, CEILING]

    def report(self) -> None:
        """Run all rounds and print."""
        results = {name: Results(self._text if name == MEGAKOR else self._part, self._few) for name in self._names}
        for number in range(self._options.rounds):
            for name in self._names if number % 2 == 0 else reversed(self._names):
                found = results[name]
                if name == CEILING:
                    found.rates.append(self._ceiling())
                else:
                    cutting = () if name == MEGATRON else start_options(self._few, self._options.workers)
                    found.starts.append(self._timed(name, f"{name} start", self._few, *cutting))
                    found.runs.append(self._timed(name, name, found.text))
        peaks = {name: weighed(*self._build(name, name, self._part)) for name in self._names if name != CEILING}
        self._print(results, peaks)
        print(self._equality(), end="\n\n", flush=True)

    def _timed(self, name: str, directory: str, text: Text, *options: str) -> float:
        return timed(*self._build(name, directory, text, *options))

    def _build(
        self, name: str, directory: str, text: Text, *options: str
    ) -> tuple[list[str], Path, dict[str, str] | None]:
        """Command, log and environment of a whole build in an empty directory; its files stay until the next one."""
        place = self._place(directory)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if name == MEGATRON:
            return self._megatron(text.path, place), place / "log", self._megatron_environment()
        engine = ["--engine", REFERENCE] if name == REFERENCE_BUILD else []
        command = build_command(
            text.path, place / "text", self._options.tokenizer, self._options.workers, *engine, *options
        )
        return command, place / "log", None

    def _place(self, name: str) -> Path:
        return self._scratch / name.replace(",", "").replace(" ", "-")

    def _megatron(self, source: Path, directory: Path) -> list[str]:
        script = self._options.megatron_lm / "tools" / "preprocess_data.py"
        command = [
            *(sys.executable, str(script), "--input", str(source), "--output-prefix", str(directory / "text")),
            *("--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model", str(self._options.tokenizer)),
            *("--append-eod", "--workers", str(self._options.workers)),
        ]  # fmt: skip
        if "--performance-dir" in script.read_text():  # its last step fails where it finds no figures of an earlier run
            (directory / "figures").mkdir()
            (directory / "figures" / "1_workers.json").write_text('{"1": [1.0]}')
            command += ["--performance-dir", str(directory / "figures")]
        return command

    def _megatron_environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self._options.megatron_lm)}

    def _ceiling(self) -> float:
        workers = self._options.workers
        command = [sys.executable, __file__, "--tokenizer", str(self._options.tokenizer), "--encode"]
        share = [[*command, str(self._part.path), str(number), str(workers)] for number in range(workers)]
        environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        running = [subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, text=True) for words in share]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()  # the texts are in memory
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate()[0]) for process in running]
        return sum(answer["megabytes"] / answer["seconds"] for answer in answers)

    def _print(self, results: dict[str, Results], peaks: dict[str, Peak]) -> None:
        print("| | MB | MB/s, whole command | MB/s, less start-up | start-up, s | peak memory, MB PSS | MB RSS |")
        print("|---|---|---|---|---|---|---|")
        if MEGATRON not in results:
            print(f"| {MEGATRON} | left out: no --megatron-lm DIR | | | | | |")
        for name, found in results.items():
            size, steady = f"{found.text.megabytes:.0f}", spread(found.steady)
            if name == CEILING:
                print(f"| {name} | {size} | | {steady} | | | |")
                continue
            starts, memory = spread(found.starts, 2), f"{peaks[name].pss:,.0f} | {peaks[name].rss:,.0f}"
            print(f"| {name} | {size} | {spread(found.whole)} | {steady} | {starts} | {memory} |")
        print()
        if MEGATRON in results:
            fast, slow = results[MEGAKOR], results[MEGATRON]
            print(f"- MegaKor to Megatron-LM, whole command: {_ratio(fast.whole, slow.whole)}")
            print(f"- MegaKor to Megatron-LM, less start-up (target: at least 10): {_ratio(fast.steady, slow.steady)}")
        ceiling = _ratio(results[REFERENCE_BUILD].steady, results[CEILING].steady, 3)
        print(f"- tokenizers to its ceiling, less start-up (target: at least 0.85): {ceiling}")
        for name, found in results.items():
            if found.runs and min(found.seconds) < 1:
                print(f"- {name} took less than a second beyond its start-up: what is left of it means little")

    def _equality(self) -> str:
        """Compares the last builds. Ends the program if they differ."""
        self._same(self._place(MEGAKOR) / "text", self._place(REFERENCE_BUILD) / "text")
        (engine,) = re.findall(r"^engine: (\S+ \S+);", (self._place(MEGAKOR) / "log").read_text(), re.MULTILINE)
        said = f"- engine auto took {engine}\n- the same bytes in .bin and .idx: MegaKor by either engine"
        if MEGATRON in self._names:
            self._timed(MEGAKOR, "ordered", self._part, "--no-shuffle")
            self._same(self._place(MEGATRON) / "text_text_document", self._place("ordered") / "text")
            said += "; Megatron-LM and MegaKor with --no-shuffle"
        return said

    @staticmethod
    def _same(one: Path, other: Path) -> None:
        for end in (".bin", ".idx"):
            if not filecmp.cmp(f"{one}{end}", f"{other}{end}", shallow=False):
                raise SystemExit(f"{one}{end} and {other}{end} differ")


def encode_share(path: str, number: str, workers: str, tokenizer: str) -> None:
    """In a process of its own: every WORKERS-th document, encoded after a line has come in; prints MB and seconds."""
    encoder = tokenizers.Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json"))
    texts = [text for place, text in enumerate(read_texts(Path(path))) if place % int(workers) == int(number)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    batches = list(_batches(texts))
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    for batch in batches:
        encoder.encode_batch_fast(batch, add_special_tokens=False)
    print(json.dumps({"megabytes": megabytes, "seconds": time.perf_counter() - begun}))


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _ratio(values: list[float], base: list[float], digits: int = 1) -> str:
    """Taken within each round."""
    return spread([value / other for value, other in zip(values, base, strict=True)], digits)


def _options() -> argparse.Namespace:
    parser = corpus_options(__doc__)
    parser.add_argument("--slow-megabytes", type=float, metavar="N", help="text of all but MegaKor; default: the same")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megatron-lm", type=Path, metavar="DIR", help="a checkout of Megatron-LM")
    parser.add_argument("--encode", nargs=3, metavar=("FILE", "NUMBER", "WORKERS"), help="the ceiling's own processes")
    options = parser.parse_args()
    if options.encode:
        options.encode.append(str(options.tokenizer))
    return options


if __name__ == "__main__":
    main()
