"""Before anything is built on it: Transformer Engine's linear layer computes what torch computes."""

from __future__ import annotations

import pytest
import torch
from running import answer_of


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_linear_forward_and_backward_agree_with_torch(precision: str) -> None:
    if precision == "fp8" and torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("FP8 needs compute capability 9.0 (Hopper)")
    errors = answer_of("linear_worker.py", precision)
    assert max(errors.values()) < (0.1 if precision == "fp8" else 0.01), errors
    assert min(errors.values()) > 0.0, errors
