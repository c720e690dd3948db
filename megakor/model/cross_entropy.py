"""Cross entropy over a vocabulary that is split across tensor-parallel ranks and padded at its end.

Shapes: S sequence, B batch, V this rank's part of the padded vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from megakor.model.cross_entropy_gpu import GpuCrossEntropy
from megakor.model.label_columns import label_columns

CPU_BLOCK = 32
"""Positions worked on at a time: 1 MB of float32 at a vocabulary of 8,192."""


def vocabulary_parallel_cross_entropy(
    logits_SBV: torch.Tensor, labels_SB: torch.Tensor, first_id: int, real_ids: int, group: dist.ProcessGroup
) -> torch.Tensor:
    """Loss [S, B] in float32, in nats. Padding ids have probability 0, so that the size of the padding changes nothing.

    Args:
        logits_SBV: this rank's logits.
        labels_SB: ids of the whole vocabulary.
        first_id: the id of this rank's first column.
        real_ids: columns of this rank that are not padding.
        group: the tensor-parallel group.
    """
    function = GpuCrossEntropy if logits_SBV.is_cuda else _CrossEntropy
    return function.apply(logits_SBV, labels_SB, first_id, real_ids, group)


class _CrossEntropy(torch.autograd.Function):
    """The form for a CPU: works on a few rows at a time, so that what one pass writes the next finds in the cache, and
    turns its only large tensor, the exponentials, into the gradient in place.

    Shapes: N positions, R real columns of this rank, V with padding.
    """

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
        largest_N = _largest(logits_NV[:, :real_ids])
        if group.size() > 1:
            dist.all_reduce(largest_N, op=dist.ReduceOp.MAX, group=group)
        exponentials_NV = torch.empty_like(logits_NV, dtype=largest_N.dtype)
        exponentials_NV[:, real_ids:] = 0
        sums_2N = torch.zeros(2, len(logits_NV), dtype=largest_N.dtype, device=logits_NV.device)
        for rows in _blocks(logits_NV) if real_ids > 0 else ():
            block = exponentials_NV[rows, :real_ids]
            torch.sub(logits_NV[rows, :real_ids], largest_N[rows, None], out=block)
            sums_2N[1, rows] = block.gather(1, label_N[rows, None])[:, 0].masked_fill_(foreign_N[rows], 0.0)
            torch.sum(block.exp_(), dim=1, out=sums_2N[0, rows])
        if group.size() > 1:
            dist.all_reduce(sums_2N, group=group)
        ctx.exponentials_NV, ctx.sum_N, ctx.label_N, ctx.foreign_N = exponentials_NV, sums_2N[0], label_N, foreign_N
        ctx.real_ids, ctx.shape, ctx.dtype = real_ids, logits_SBV.shape, logits_SBV.dtype
        return (sums_2N[0].log() - sums_2N[1]).view(labels_SB.shape)

    @staticmethod
    def backward(ctx: Any, grad_SB: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        exponentials_NV, ctx.exponentials_NV = ctx.exponentials_NV, None
        if exponentials_NV is None:
            raise RuntimeError("this cross entropy gives its gradient once: it is made in place of the exponentials")
        narrow = ctx.dtype != exponentials_NV.dtype
        grad_NV = torch.empty_like(exponentials_NV, dtype=ctx.dtype) if narrow else exponentials_NV
        grad_N = grad_SB.flatten()
        scale_N, at_label_N = grad_N / ctx.sum_N, grad_N.masked_fill(ctx.foreign_N, 0.0)
        for rows in _blocks(grad_NV):
            block = exponentials_NV[rows].mul_(scale_N[rows, None])
            if ctx.real_ids > 0:
                block.scatter_add_(1, ctx.label_N[rows, None], -at_label_N[rows, None])
            if narrow:
                grad_NV[rows] = block
        return grad_NV.view(ctx.shape), None, None, None, None


def _largest(real_NR: torch.Tensor) -> torch.Tensor:
    """[N], in float32 at least; the least number that there is where this rank has no real column."""
    dtype = torch.promote_types(real_NR.dtype, torch.float32)
    if real_NR.shape[1] == 0:
        return torch.full(real_NR.shape[:1], float("-inf"), dtype=dtype, device=real_NR.device)
    return real_NR.amax(dim=1).to(dtype)


def _blocks(values_NV: torch.Tensor) -> Iterator[slice]:
    rows = len(values_NV)
    for start in range(0, rows, CPU_BLOCK):
        yield slice(start, min(start + CPU_BLOCK, rows))
