"""The same engine on CUDA: Transformer Engine layers, NCCL, BF16 and FP8, packed documents."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import running
import torch

BF16_BAND = 0.05
"""Nats per token between BF16 on a GPU and FP32 on a CPU over 12 steps of the tiny model."""
FP8_BAND = 0.15

run = cache(running.run)


def apart(one: dict[str, Any], other: dict[str, Any], which: str = "losses") -> float:
    """The largest difference between two runs' losses, in nats per token."""
    return float(np.abs(np.subtract(one[which], other[which])).max())


def test_bf16_follows_the_cpu() -> None:
    assert apart(run("cuda", "bf16"), run("cpu", "fp32")) < BF16_BAND


@pytest.mark.parametrize("precision", ["fp8_delayed", "fp8_tensorwise", "fp8_blockwise"])
def test_every_fp8_recipe_follows_bf16(precision: str) -> None:
    if torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("FP8 needs compute capability 9.0 (Hopper)")
    found = run("cuda", precision)
    assert 0.0 < apart(found, run("cuda", "bf16")) < FP8_BAND
    assert found["losses"][-1] < found["losses"][0] - 0.3


@pytest.mark.parametrize("recompute", ["selective", "full"])
@pytest.mark.parametrize("precision", ["bf16", "fp8_tensorwise"])
def test_activations_computed_anew_change_nothing(precision: str, recompute: str) -> None:
    assert run("cuda", precision, recompute=recompute)["losses"] == run("cuda", precision)["losses"]


def test_the_distributed_optimizer_changes_nothing_on_one_rank() -> None:
    assert apart(run("cuda", "bf16", distributed_optimizer=1), run("cuda", "bf16")) < 1e-3


@pytest.mark.parametrize("mask", ["document", "cross-lingual", "none"])
def test_a_logit_depends_on_its_own_segment_and_on_all_of_it(mask: str) -> None:
    unseen, seen = run("cuda", "bf16")["leaks"][mask]
    assert unseen == 0.0
    assert seen > 1e-3


def test_another_rope_base_and_longer_rows_follow_the_cpu() -> None:
    assert apart(run("cuda", "bf16"), run("cpu", "fp32"), "longer_losses") < BF16_BAND


@pytest.mark.parametrize("precision", ["bf16", "fp8_delayed", "fp8_tensorwise", "fp8_blockwise"])
def test_a_step_waits_for_the_device_once_for_the_norm_that_it_clips_by(precision: str) -> None:
    """The guard's judgement of each step included, and the way of the batch to the device."""
    *_, before, last = run("cuda", precision, "waits")["waits"]
    assert [place.partition(":")[0] for place in last] == ["clip_grads.py"], last
    assert before == last


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
    assert apart(run("cuda", "bf16", ranks=2, **parallel), run("cuda", "bf16")) < BF16_BAND
