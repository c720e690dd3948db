"""A checkpoint written on a GPU goes on as if nothing had happened, there and on a CPU, and the other way round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from running import run

BETWEEN_DEVICES = 0.05
"""Nats per token over 8 steps in BF16."""
NEW_HISTORY = 0.05
"""Nats per token over 8 steps after a resume with delayed scaling, whose history is not in the checkpoint."""


def apart(one: list[float], other: list[float]) -> float:
    return float(np.abs(np.subtract(one, other)).max())


@pytest.mark.parametrize("precision", ["bf16", "fp8_tensorwise", "fp8_blockwise"])
def test_a_resumed_run_computes_the_same_to_the_last_bit(precision: str, tmp_path: Path) -> None:
    whole = run("cuda", precision, "save", directory=tmp_path)
    assert run("cuda", precision, "resume", directory=tmp_path) == whole


def test_delayed_scaling_begins_a_new_history(tmp_path: Path) -> None:
    whole = run("cuda", "fp8_delayed", "save", directory=tmp_path)
    assert apart(run("cuda", "fp8_delayed", "resume", directory=tmp_path)["losses"], whole["losses"]) < NEW_HISTORY


def test_the_distributed_optimizer_writes_and_reads_the_same_checkpoint(tmp_path: Path) -> None:
    whole = run("cuda", "bf16", "save", directory=tmp_path)
    again = run("cuda", "bf16", "resume", directory=tmp_path, distributed_optimizer=1)
    assert apart(again["losses"], whole["losses"]) < 1e-3


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_the_other_device(first: str, second: str, tmp_path: Path) -> None:
    whole = run(first, "bf16", "save", directory=tmp_path)
    assert apart(run(second, "bf16", "resume", directory=tmp_path)["losses"], whole["losses"]) < BETWEEN_DEVICES
