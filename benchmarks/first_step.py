"""Time from `megakor pretrain` to the end of the first step, in a new process, and what of it is imports.

    python benchmarks/first_step.py [--rounds 5] [--threads 2] [--precision fp32]

The run is that of a user: configuration checked, process group, data opened, model drawn, one step; there is no
validation text. The moment is that of the first training line in metrics.jsonl.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from setting import LENGTH, make_text, options_of, print_header, quartiles, small_config

from megakor.config.load import save_config
from megakor.config.schema_data import SourceConfig

IMPORTS = "from megakor.parallel.cpu_backend import import_megatron_core; import_megatron_core()"
LIMIT = 600.0


def main() -> None:
    options = options_of(__doc__)
    print_header("Time to the first step")
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    print("| precision | to the end of the first step, median [quartiles] | imports alone |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        prefix = make_text(options.directory or Path(scratch))
        for precision in options.precision:
            totals, imports = [], []
            for number in range(options.rounds):
                directory = Path(scratch) / f"{precision}-{number}"
                imports.append(time_imports())
                totals.append(time_to_first_step(prefix, directory, precision, options.rows))
            low, middle, high = quartiles(totals)
            print(
                f"| {precision} | {middle:.2f} s [{low:.2f}-{high:.2f}] | {quartiles(imports)[1]:.2f} s |", flush=True
            )


def time_imports() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTS], check=True)
    return time.perf_counter() - begun


def time_to_first_step(prefix: Path, directory: Path, precision: str, rows: int) -> float:
    """Seconds until a fresh run has written its first training line; the run then goes on to its end."""
    config = small_config(precision, "document")
    config.run.dir = str(directory / "run")
    config.data.tokenizer = str(prefix.parent / "tokenizer")
    config.data.sources = {"text": SourceConfig(str(prefix), language="ko")}
    config.train.micro_batch_size = rows
    config.train.global_batch_size = config.train.tokens = rows * LENGTH
    directory.mkdir(parents=True)
    save_config(config, directory / "config.yaml")
    metrics, log = directory / "run" / "metrics.jsonl", directory / "log"
    command = [sys.executable, "-m", "megakor", "pretrain", str(directory / "config.yaml")]
    begun = time.perf_counter()
    with open(log, "w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        while not (metrics.exists() and '"kind": "train"' in _spaced(metrics.read_text())):
            elapsed = time.perf_counter() - begun
            if process.poll() is not None or elapsed > LIMIT:
                process.kill()
                raise SystemExit(f"the run made no step:\n{log.read_text()}")
            time.sleep(0.005)
        return time.perf_counter() - begun


def _spaced(line: str) -> str:
    return line.replace('":"', '": "')


if __name__ == "__main__":
    main()
