"""Real runs of `megakor pretrain` for the end-to-end tests: a tiny bilingual world, and processes to start, watch and
kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.report.metrics import read_metrics, surviving

BATCH = 1024
"""Tokens of a global batch: the budgets of the tests are multiples of it."""
STEPS = 12
"""Of the run in `run.yaml`."""
PATIENCE = 300.0
"""Seconds after which a run that should have ended or moved is taken for hung."""
WAITING = " in fit\n"
"""In the stacks of a rank that waits for another one: whichever collective it waits in, the loop has called it."""

CONFIG = f"""\
run: {{dir: runs/run, seed: 7}}
device: cpu
model:
  layers: 2
  hidden_size: 32
  ffn_hidden_size: 64
  attention_heads: 4
  key_value_heads: 2
  vocabulary_multiple: 64
train: {{tokens: {STEPS * BATCH}, global_batch_size: {BATCH}, micro_batch_size: 2, sequence_length: 64}}
optimizer: {{epsilon: 1e-6}}
lr: {{schedule: constant, peak: 3e-3, warmup: {2 * BATCH}}}
data:
  tokenizer: tokenizer
  sources:
    korean: {{path: shards/ko, language: ko}}
    english: {{path: shards/en, language: en}}
  phases:
    - {{name: main, weights: {{korean: 0.5, english: 0.5}}}}
evaluation: {{every: {4 * BATCH}, tokens: 512}}
checkpoint: {{every: {2 * BATCH}, keep: 0}}
report: {{tensorboard: false}}
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class World:
    """A directory with corpus, tokenizer, shards and `run.yaml`; runs start in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run_dir(self, name: str) -> Path:
        return self.directory / "runs" / name

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """`python -m megakor WORDS` in a process group of its own, one thread for each rank."""
        return subprocess.Popen(
            [sys.executable, "-m", "megakor", *words],
            cwd=self.directory,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def megakor(self, *words: str, **environment: str) -> Ended:
        """Run a verb to its end."""
        process = self.start(*words, **environment)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise
        return Ended(process.returncode, out, err)

    def pretrain(self, name: str, *words: str, config: str = "run.yaml") -> Ended:
        """A run in `runs/NAME` that must succeed."""
        ended = self.megakor("pretrain", config, f"run.dir=runs/{name}", *words)
        assert ended.code == 0, ended.err
        return ended

    def copy_run(self, source: str, name: str, step: int) -> None:
        """The run directory as it was when the checkpoint of `step` was the newest."""
        shutil.copytree(self.run_dir(source), self.run_dir(name))
        kept = checkpoint_path(self.run_dir(name), step)
        assert kept.is_dir()
        for path in kept.parent.iterdir():
            if path.name > kept.name:
                shutil.rmtree(path)

    def lines(self, name: str, kind: str) -> list[dict[str, Any]]:
        """The surviving lines of metrics.jsonl of one kind."""
        lines = surviving(read_metrics(self.run_dir(name) / "metrics.jsonl"))
        return [line for line in lines if line["kind"] == kind]

    def losses(self, name: str) -> dict[int, float]:
        """Training loss by step."""
        return {line["step"]: line["loss"] for line in self.lines(name, "train")}

    def validation(self, name: str) -> dict[tuple[int, str], float]:
        """Validation loss by step and source."""
        return {(line["step"], line["source"]): line["loss"] for line in self.lines(name, "validation")}


def build_world(directory: Path) -> World:
    """Corpus, tokenizer and shards of a few thousand tokens: a few steps beyond STEPS begin a second epoch of
    Korean."""
    texts = write_sample_corpus(directory, megabytes=0.03, seed=7)
    inputs = {path.stem: [str(path)] for path in texts}
    tokenizer = train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 600), lambda line: None)
    for language, paths in inputs.items():
        prefix = directory / "shards" / language
        options = PreprocessOptions(
            tuple(paths), prefix, tokenizer, append_eod=True, language=language, holdout_share=0.3
        )
        preprocess(options, lambda line: None)
    (directory / "run.yaml").write_text(CONFIG, encoding="utf-8")
    return World(directory)


def checkpoint_path(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"tokens-{step * BATCH:012d}"


def train_lines(run: Path) -> int:
    """Steps that metrics.jsonl tells of, superseded ones included."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b'"kind": "train"') if path.exists() else 0


def writes_checkpoint(run: Path) -> bool:
    """Whether a checkpoint is being written at this moment."""
    return any(not (path / "manifest.json").exists() for path in (run / "checkpoints").glob("tokens-*"))


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Wait for the condition; False if the run ended before."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < deadline, "the run neither moved nor ended"
        time.sleep(0.002)
    return False


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """`kill -9` all processes of a run as soon as the condition holds; False if the run ended before."""
    try:
        return wait_until(process, condition)
    finally:
        kill_group(process)


def kill_group(process: subprocess.Popen[str]) -> None:
    """`kill -9` what is left of a run."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def kill_rank(process: subprocess.Popen[str], rank: int) -> None:
    """`kill -9` one rank of a run and leave its starter and the others alone."""
    children = psutil.Process(process.pid).children()
    next(child for child in children if child.environ().get("RANK") == str(rank)).kill()
