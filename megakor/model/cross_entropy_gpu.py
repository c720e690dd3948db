"""The cross entropy of megakor.model.cross_entropy on a GPU: logits are read twice forward and once backward, and
nothing of their size is kept beside them.

torch.compile makes a kernel of each of the functions at the end. All arithmetic is in float32. (Transformer Engine's
kernel takes one from a probability that it has rounded to BF16, which leaves the gradient of a token that the model is
sure of with an error of its own size.)

Shapes: S sequence, B batch, N positions, V this rank's part of the padded vocabulary, R its columns without padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.distributed as dist

from megakor.model.label_columns import label_columns


class GpuCrossEntropy(torch.autograd.Function):
    """Loss [S, B] in float32, in nats. On a CPU, where tests compare it, it is the same arithmetic uncompiled."""

    @staticmethod
    def forward(
        ctx: Any,
        logits_SBV: torch.Tensor,
        labels_SB: torch.Tensor,
        first_id: int,
        real_ids: int,
        group: dist.ProcessGroup,
    ) -> torch.Tensor:
        logits_NV = logits_SBV.flatten(0, 1)
        label_N, foreign_N = label_columns(labels_SB, first_id, real_ids)
        largest_N = _kernel(_largest, logits_NV)(logits_NV, real_ids)
        if group.size() > 1:
            dist.all_reduce(largest_N, op=dist.ReduceOp.MAX, group=group)
        sums_2N = _kernel(_sums, logits_NV)(logits_NV, largest_N, label_N, foreign_N, real_ids)
        if group.size() > 1:
            dist.all_reduce(sums_2N, group=group)
        ctx.save_for_backward(logits_NV, largest_N, sums_2N[0], label_N, foreign_N)
        ctx.real_ids, ctx.shape = real_ids, logits_SBV.shape
        return (sums_2N[0].log() - sums_2N[1]).view(labels_SB.shape)

    @staticmethod
    def backward(ctx: Any, grad_SB: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        logits_NV, largest_N, sum_N, label_N, foreign_N = ctx.saved_tensors
        grad_N = grad_SB.flatten()
        at_label_N = grad_N.masked_fill(foreign_N, 0.0)
        gradient = _kernel(_gradient, logits_NV)
        grad_NV = gradient(logits_NV, largest_N, grad_N / sum_N, at_label_N, label_N, ctx.real_ids)
        return grad_NV.view(ctx.shape), None, None, None, None


def _kernel(function: Callable[..., torch.Tensor], values: torch.Tensor) -> Callable[..., torch.Tensor]:
    return _compiled(function) if values.is_cuda else function


@cache
def _compiled(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return torch.compile(function)


def _largest(logits_NV: torch.Tensor, real: int) -> torch.Tensor:
    """[N]; the least number that there is where this rank has no real column."""
    if real == 0:
        return torch.full(logits_NV.shape[:1], float("-inf"), device=logits_NV.device)
    return _wide(logits_NV[:, :real].amax(dim=1))


def _sums(
    logits_NV: torch.Tensor, largest_N: torch.Tensor, label_N: torch.Tensor, foreign_N: torch.Tensor, real: int
) -> torch.Tensor:
    """[2, N]: sums of exponentials, and the logit of the label if it is this rank's; both less the largest logit."""
    exponentials_NR = (_wide(logits_NV[:, :real]) - largest_N[:, None]).exp()
    at_label_N = _wide(logits_NV.gather(1, label_N[:, None])[:, 0]) - largest_N
    return torch.stack([exponentials_NR.sum(dim=1), at_label_N.masked_fill(foreign_N, 0.0)])


def _gradient(
    logits_NV: torch.Tensor,
    largest_N: torch.Tensor,
    scale_N: torch.Tensor,
    at_label_N: torch.Tensor,
    label_N: torch.Tensor,
    real: int,
) -> torch.Tensor:
    """[N, V], like the logits; zero for padding."""
    column_V = torch.arange(logits_NV.shape[1], device=logits_NV.device)
    shares_NV = (_wide(logits_NV) - largest_N[:, None]).exp() * scale_N[:, None]
    grad_NV = shares_NV - torch.where(column_V == label_N[:, None], at_label_N[:, None], 0.0)
    return torch.where(column_V < real, grad_NV, 0.0).to(logits_NV.dtype)


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
