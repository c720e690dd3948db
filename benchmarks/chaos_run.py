"""The run that chaos.py torments: a small model on two ranks, started again and again by the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer

BATCH = 1024
"""Tokens of a global batch."""
EVALUATE_EVERY, SAVE_EVERY = 6, 4
"""Steps."""
PATIENCE = 600.0
"""Seconds after which a run that has neither moved nor ended is taken for hung, which is a failure of the benchmark."""

CONFIG = f"""\
run: {{dir: runs/run, seed: 11}}
device: cpu
model: {{layers: 2, hidden_size: 64, ffn_hidden_size: 128, attention_heads: 4, key_value_heads: 2,
  vocabulary_multiple: 64}}
train: {{tokens: STEPS, global_batch_size: {BATCH}, micro_batch_size: 2, sequence_length: 64}}
parallel: {{distributed_optimizer: true}}
lr: {{schedule: cosine, peak: 3e-3, warmup: {4 * BATCH}}}
data:
  tokenizer: tokenizer
  sources:
    korean: {{path: shards/ko, language: ko}}
    english: {{path: shards/en, language: en}}
  phases:
    - {{name: first, tokens: HALF, weights: {{korean: 0.7, english: 0.3}}}}
    - {{name: second, weights: {{korean: 0.4, english: 0.6}}}}
evaluation:
  every: {EVALUATE_EVERY * BATCH}
  tokens: 2048
  probes: {{copies: {{kind: copying, items: 64, length: 24}}}}
checkpoint: {{every: {SAVE_EVERY * BATCH}, keep: 4}}
report: {{tensorboard: false}}
resilience:
  grace_seconds: 60
  hang: {{step_seconds: 4, evaluation_seconds: 4, checkpoint_seconds: 4, start_seconds: 30, factor: 5}}
"""
"""A rank that is stopped is found soon. On a busy machine the watchdog may take a slow rank for one that is."""
UNDISTURBED = (
    "resilience.hang={step_seconds: 300, evaluation_seconds: 300, checkpoint_seconds: 300, start_seconds: 600}"
)
"""For attempts that no fault is meant for."""


def make_world(directory: Path, steps: int) -> None:
    """Corpus, tokenizer, shards and run.yaml."""
    texts = write_sample_corpus(directory, megabytes=0.2, seed=11)
    inputs = {path.stem: [str(path)] for path in texts}
    tokenizer = train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 800), lambda line: None)
    for language, paths in inputs.items():
        prefix = directory / "shards" / language
        options = PreprocessOptions(
            tuple(paths), prefix, tokenizer, append_eod=True, language=language, holdout_share=0.2
        )
        preprocess(options, lambda line: None)
    half = steps // 2 * BATCH
    config = CONFIG.replace("STEPS", str(steps * BATCH)).replace("HALF", str(half))
    (directory / "run.yaml").write_text(config, encoding="utf-8")


class ChaosRun:
    """One run directory and the processes that work in it, one attempt after the other."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / "runs" / name
        self._directory = directory
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *overrides: str) -> subprocess.Popen[bytes]:
        """An attempt, in a process group of its own."""
        log = (self._directory / f"{self._name}.log").open("ab")
        words = ["pretrain", "run.yaml", f"run.dir=runs/{self._name}", *overrides, "--nproc", "2"]
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "megakor", *words],
                cwd=self._directory,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def finish(self) -> int:
        """An attempt that nobody disturbs; its exit code."""
        return self.start(UNDISTURBED).wait(PATIENCE)

    def ended(self) -> int:
        """Wait for the end of the present attempt, and see that nothing of it is left; its exit code."""
        assert self._process is not None, "no attempt has been started"
        code = self._process.wait(PATIENCE)
        self.kill_all()
        return code

    def kill_all(self) -> None:
        """SIGKILL to all processes of the attempt."""
        assert self._process is not None, "no attempt has been started"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        while any(process.is_running() for process in self._group()):
            time.sleep(0.01)

    def starter_signal(self, number: signal.Signals) -> None:
        """To the command itself, which passes it on."""
        assert self._process is not None, "no attempt has been started"
        self._process.send_signal(number)

    def rank(self, rank: int) -> psutil.Process | None:
        """The process of a rank, if it is there."""
        assert self._process is not None, "no attempt has been started"
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children():
                if child.environ().get("RANK") == str(rank):
                    return child
        return None

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """False if the attempt ended before."""
        assert self._process is not None, "no attempt has been started"
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            if condition():
                return True
            assert time.monotonic() < deadline, "the run neither moved nor ended"
            time.sleep(0.003)
        return False

    def lines(self) -> list[dict[str, Any]]:
        """Whole lines of metrics.jsonl, superseded ones included."""
        path = self.path / "metrics.jsonl"
        whole = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        return [json.loads(line) for line in whole if line.strip()]

    def count(self, mark: bytes) -> int:
        """How often metrics.jsonl has some bytes."""
        path = self.path / "metrics.jsonl"
        return path.read_bytes().count(mark) if path.exists() else 0

    def steps_made(self) -> int:
        """Over all attempts."""
        return self.count(b'"kind": "train"')

    def _group(self) -> list[psutil.Process]:
        assert self._process is not None, "no attempt has been started"
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found
