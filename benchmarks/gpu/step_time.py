"""Time of a step of MegaKor on one GPU against a bare megatron-core loop on Transformer Engine: same model, same rows,
same process, in turns.

    python benchmarks/gpu/step_time.py [--precision bf16] [--rounds 6]

One precision a process: megatron-core does not let go of a model's memory. MegaKor's step is everything that a run does
with rows in memory: their way to the device, the loss over all ranks, the gradient norm and the judgement of the guard.
MFU counts what the model's mathematics needs (megakor/report/flops.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from bare_loop import LEARNING_RATE, BareLoop
from billion import LENGTH, VOCABULARY, attention_span, billion_model, megakor_engine, random_rows, start_on_gpu
from setting import alternate, print_header, quartiles, ratios

from megakor.config.schema_resilience import AnomaliesConfig
from megakor.model.transformer_config import parameter_dtype
from megakor.parallel.topology import stop_process_groups
from megakor.report.flops import model_flops_per_token, peak_of
from megakor.resilience.guard import Guard
from megakor.train.micro_batch import micro_batches

if TYPE_CHECKING:
    from megakor.data.rows import RowBatch
    from megakor.parallel.topology import Topology
    from megakor.train.engine import Engine

WARM_UP = 2
BASE = "bare megatron-core"
GIB = 2**30


def main() -> None:
    options = _options()
    print_header("Step time on one GPU", ("torch", "megatron-core", "transformer-engine"))
    step = f"{options.micro_batches} micro-batches of {options.rows} rows of {LENGTH:,} tokens"
    print(f"{torch.cuda.get_device_name()}; {options.layers} layers; {step}\n")
    topology = start_on_gpu()
    print("| precision | contestant | step, median [quartiles] | to the bare loop | tokens/s | model TFLOP/s | MFU |")
    print("|---|---|---|---|---|---|---|")
    for line in compare(options.precision, topology, options):
        print(line, flush=True)
    stop_process_groups()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="times that each contestant runs")
    parser.add_argument("--precision", default="bf16", help="bf16, fp8_delayed, fp8_tensorwise or fp8_blockwise")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--rows", type=int, default=2, help="rows of a micro-batch")
    parser.add_argument("--micro-batches", type=int, default=4)
    return parser.parse_args()


def compare(precision: str, topology: Topology, options: argparse.Namespace) -> Iterator[str]:
    """Rows of the table for one precision, and a line on memory."""
    model = billion_model(options.layers)
    whole, inside = (
        [random_rows(options.rows, seed, documents) for seed in range(options.micro_batches)]
        for documents in (False, True)
    )
    torch.cuda.reset_peak_memory_stats()
    engine = megakor_engine(model, precision, topology)
    held = torch.cuda.memory_allocated() / GIB
    ours = {
        "MegaKor": megakor_step(engine, precision, whole, "none"),
        "MegaKor, documents": megakor_step(engine, precision, inside, "document"),
    }
    for step in [*ours.values()] * WARM_UP:
        step()
    peak = torch.cuda.max_memory_allocated() / GIB
    bare = BareLoop(model, precision)
    steps = {
        BASE: partial(bare.step, whole, "native"),
        f"{BASE}, cross entropy of Transformer Engine": partial(bare.step, whole, "te"),
        **ours,
    }
    losses = {name: [step() for _ in range(WARM_UP)][-1] for name, step in steps.items()}
    seconds = alternate({name: timed(step) for name, step in steps.items()}, options.rounds)
    relative = ratios(seconds, BASE)
    for name, values in seconds.items():
        span = attention_span(inside if "documents" in name else whole)
        yield _line(precision, name, values, relative[name], options, span)
    yield f"\n({precision}: MegaKor holds {held:.1f} GiB before its first step and {peak:.1f} GiB at most; {losses})\n"


def megakor_step(engine: Engine, precision: str, rows: Sequence[RowBatch], mask: str) -> Callable[[], float]:
    """One step of the engine as a run makes it, on rows in memory; returns the loss."""
    guard = Guard(AnomaliesConfig())
    guard.begin(mask)

    def step() -> float:
        batches = micro_batches(rows, mask, engine.device, engine.topology, parameter_dtype(precision))
        return engine.train_step(batches, LEARNING_RATE, partial(guard.allows, 0)).loss

    return step


def timed(step: Callable[[], float]) -> Callable[[], float]:
    """Seconds of a step, until the device has done all of it."""

    def measure() -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        step()
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    return measure


def _line(precision: str, name: str, seconds: list[float], ratio: str, options: argparse.Namespace, span: float) -> str:
    low, middle, high = quartiles(seconds)
    speed = options.micro_batches * options.rows * LENGTH / middle
    flops = model_flops_per_token(billion_model(options.layers), VOCABULARY, span) * speed
    peak = peak_of(torch.cuda.get_device_name(), precision)
    share = f"{flops / peak.flops:.1%} of {peak}" if peak is not None else "n/a"
    step = f"{middle:.4f} s [{low:.4f}-{high:.4f}]"
    return f"| {precision} | {name} | {step} | {ratio} | {speed:,.0f} | {flops / 1e12:,.0f} | {share} |"


if __name__ == "__main__":
    main()
