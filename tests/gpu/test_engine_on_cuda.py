"""The same engine on CUDA: Transformer Engine layers, NCCL, BF16 and FP8, packed documents.

Each run is a process of its own (CUDA cannot be forked), `gpu_worker.py`, which prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

WORKER = Path(__file__).with_name("gpu_worker.py")
BF16_BAND = 0.05
"""Nats per token between BF16 on a GPU and FP32 on a CPU over 12 steps of the tiny model."""
FP8_BAND = 0.15


@cache
def run(device: str, precision: str, ranks: int = 1, **parallel: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", str(WORKER)]
    options = json.dumps({"device": device, "precision": precision, "parallel": parallel})
    environment = {**os.environ, "CUDA_DEVICE_MAX_CONNECTIONS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*words, options], capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return dict(json.loads(line))


def test_bf16_follows_the_cpu() -> None:
    difference = np.subtract(run("cuda", "bf16")["losses"], run("cpu", "fp32")["losses"])
    assert np.abs(difference).max() < BF16_BAND


@pytest.mark.parametrize("precision", ["fp8_delayed", "fp8_tensorwise", "fp8_blockwise"])
def test_every_fp8_recipe_follows_bf16(precision: str) -> None:
    if torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("FP8 needs compute capability 9.0 (Hopper)")
    found = run("cuda", precision)["losses"]
    assert np.abs(np.subtract(found, run("cuda", "bf16")["losses"])).max() < FP8_BAND
    assert found[-1] < found[0] - 0.3


@pytest.mark.parametrize("mask", ["document", "cross-lingual", "none"])
def test_a_logit_depends_on_its_own_segment_and_on_all_of_it(mask: str) -> None:
    unseen, seen = run("cuda", "bf16")["leaks"][mask]
    assert unseen == 0.0
    assert seen > 1e-3


def test_another_rope_base_and_longer_rows_follow_the_cpu() -> None:
    difference = np.subtract(run("cuda", "bf16")["longer_losses"], run("cpu", "fp32")["longer_losses"])
    assert np.abs(difference).max() < BF16_BAND


@pytest.mark.parametrize(
    "parallel",
    [
        {"tensor": 2, "sequence": 1},
        {"pipeline": 2},
        {"pipeline": 2, "virtual_pipeline": 2},
        {"context": 2},
        {"distributed_optimizer": 1},
    ],
    ids=str,
)
def test_layouts_agree_on_two_gpus(parallel: dict[str, int]) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    found = run("cuda", "bf16", ranks=2, **parallel)["losses"]
    assert np.abs(np.subtract(found, run("cuda", "bf16")["losses"])).max() < BF16_BAND
