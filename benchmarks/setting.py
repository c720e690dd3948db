"""What the speed benchmarks share: one small model, one text, and a note of the machine.

The model is that of benchmarks/README.md: 18.9 M parameters, 8 layers, hidden 384, 6 heads, 2 key/value heads, ffn
1,024, vocabulary 8,192, rows of 512 tokens, micro-batches of 8 rows.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megakor.config.schema import Config
    from megakor.data.rows import RowBatch
    from megakor.parallel.topology import Topology
    from megakor.train.engine import Engine

VOCABULARY, LENGTH, ROWS = 8192, 512, 8
LEARNING_RATE = 3e-4


def options_of(description: str | None) -> argparse.Namespace:
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="times that each contestant runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of {LENGTH} tokens in a step")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, on a busy machine"
    )
    parser.add_argument(
        "--directory", type=Path, help="where the text is made and kept; default: a temporary directory"
    )
    return parser.parse_args()


def small_config(precision: str, mask: str = "none") -> Config:
    """The benchmark's model and batch on one CPU process."""
    from megakor.config.schema import Config

    config = Config(device="cpu")
    model, train = config.model, config.train
    model.layers, model.hidden_size, model.ffn_hidden_size = 8, 384, 1024
    model.attention_heads, model.key_value_heads, model.vocabulary_size = 6, 2, VOCABULARY
    train.micro_batch_size, train.sequence_length, train.global_batch_size = ROWS, LENGTH, ROWS * LENGTH
    train.precision, config.data.mask = precision, mask
    return config


def start_process(threads: int) -> Topology:
    """This process as a world of its own, on the CPU."""
    import torch

    from megakor.config.schema import ParallelConfig
    from megakor.launch.rendezvous import Rendezvous
    from megakor.parallel.device import choose_device
    from megakor.parallel.topology import start_process_groups

    torch.set_num_threads(threads)
    return start_process_groups(ParallelConfig(), choose_device("cpu"), Rendezvous(0, 1, 0))


def small_engine(config: Config, topology: Topology) -> Engine:
    from megakor.parallel.device import choose_device
    from megakor.train.engine import build_engine

    return build_engine(config, choose_device("cpu"), topology, LENGTH)


def make_text(directory: Path) -> Path:
    """The sample corpus as a shard of Korean and English documents; returns its prefix. Made once per directory."""
    from megakor.corpus.preprocess import PreprocessOptions, preprocess
    from megakor.corpus.sample import write_sample_corpus
    from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer

    prefix = directory / "text"
    if prefix.with_suffix(".idx").exists():
        return prefix
    files = {path.stem: [str(path)] for path in write_sample_corpus(directory, megabytes=2, seed=1)}
    tokenizer = train_tokenizer(TokenizerOptions(files, directory / "tokenizer", VOCABULARY), log=_say)
    inputs = tuple(path for paths in files.values() for path in paths)
    preprocess(PreprocessOptions(inputs, prefix, tokenizer, append_eod=True), log=_say)
    return prefix


def read_text(prefix: Path, config: Config, batches: int, rows: int = ROWS) -> list[RowBatch]:
    """The first batches of the shard, in the order in which a run reads them."""
    from megakor.config.schema_data import PhaseConfig, SourceConfig
    from megakor.curriculum.schedule import Schedule
    from megakor.data.rows import read_rows
    from megakor.data.sources import open_sources
    from megakor.data.stream import TokenStream

    config.data.sources = {"text": SourceConfig(str(prefix))}
    config.train.global_batch_size = rows * LENGTH
    config.data.phases = [PhaseConfig(weights={"text": 1.0})]
    sources = open_sources(config, LENGTH)
    stream = TokenStream(sources, Schedule.compile(config), config.data.window_blocks)
    return [read_rows(sources, stream.next_batch().rows, LENGTH, config.data.mask) for _ in range(batches)]


def timed(step: Callable[[], float], clock: str) -> Callable[[], float]:
    """Seconds of a step."""
    now = time.perf_counter if clock == "wall" else time.process_time

    def measure() -> float:
        begun = now()
        step()
        return now() - begun

    return measure


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each contestant once per round, in turning order, so that a noisy neighbour hits all alike."""
    results: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(contestants[name]())
    return results


def ratios(results: dict[str, list[float]], base: str) -> dict[str, str]:
    """Each contestant's median ratio to the base of the same round, with its quartiles."""
    shown = {}
    for name, values in results.items():
        pairs = sorted(value / other for value, other in zip(values, results[base], strict=True))
        low, middle, high = quartiles(pairs)
        shown[name] = f"{middle:.3f} [{low:.3f}-{high:.3f}]"
    return shown


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def print_header(title: str, packages: Sequence[str] = ("torch", "megatron-core")) -> None:
    """Machine, date, versions and command, so that a figure can be traced."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = os.getloadavg()[0]
    print(f"## {title}\n")
    print(f"{datetime.date.today()}; {_processor()}, {os.cpu_count()} cores, load {load:.1f} at the start; ", end="")
    print(f"Python {platform.python_version()}, {versions}\n")
    print(f"    python {' '.join(sys.argv)}\n", flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _say(line: str) -> None:
    print(f"({line})", file=sys.stderr)
