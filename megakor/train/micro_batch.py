"""From rows read on the host to what one call of the model takes, on the device of this rank.

Shapes: B rows, S tokens of this rank's part of the sequence, T tokens of the whole sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from megakor.data.rows import RowBatch
from megakor.model.attention import attention_mask
from megakor.parallel.context import context_positions
from megakor.parallel.device import Device
from megakor.parallel.topology import Topology
from megakor.train.packing import PADDING, Packing, packings


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass takes, on the device of this rank."""

    tokens_BS: torch.Tensor
    labels_BS: torch.Tensor
    loss_mask_BS: torch.Tensor
    positions_BS: torch.Tensor
    attention_mask: torch.Tensor | None
    """On a CPU, as megakor.model.attention takes it; None on CUDA, and for plain causal attention."""
    packed: Any = None
    """PackedSeqParams on CUDA, where B rows are one row of many segments."""
    length: int = 0
    """Tokens of a row before context parallelism splits it, as megatron-core's schedule counts them."""
    spans_BS: torch.Tensor | None = None
    """Where losses are summed by span: the span of each label."""


def micro_batches(
    batches: Sequence[RowBatch], mask: str, device: Device, topology: Topology, dtype: torch.dtype
) -> list[MicroBatch]:
    """Split rows over the context-parallel group and put them on the device, with the mask in the form that it takes.

    Args:
        batches: the micro-batches of this data-parallel rank for one step, as whole rows.
        mask: as the rows were read; "none" leaves their segments out.
        dtype: of the activations; an additive mask has it too.
    """
    if device.kind == "cpu":
        return [_dense(rows, mask, topology, dtype) for rows in batches]
    layouts = packings(batches, mask, topology.context_size, topology.tensor_size)
    return [_packed(rows, layout, device, topology) for rows, layout in zip(batches, layouts, strict=True)]


def _dense(rows: RowBatch, mask: str, topology: Topology, dtype: torch.dtype) -> MicroBatch:
    length, size = rows.tokens_BS.shape[1], topology.context_size
    own_S = context_positions(length, topology.context_rank, size)
    segments_BT = torch.from_numpy(rows.segments_BS) if mask != "none" else None

    def own(whole_BT: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(whole_BT)[:, own_S].contiguous()

    return MicroBatch(
        own(rows.tokens_BS),
        own(rows.labels_BS),
        own(rows.loss_mask_BS),
        own(rows.positions_BS),
        attention_mask(segments_BT, rows.segments_BS.shape[0], length, topology.context_rank, size, dtype),
        length=length,
    )


def _packed(rows: RowBatch, layout: Packing, device: Device, topology: Topology) -> MicroBatch:
    from megatron.core.packed_seq_params import PackedSeqParams

    origin_N = layout.origin_P[layout.share_of_rank(topology.context_rank, topology.context_size)]

    def own(whole_BT: np.ndarray) -> torch.Tensor:
        values_N = np.where(origin_N == PADDING, 0, whole_BT.reshape(-1)[origin_N])
        return torch.from_numpy(values_N).pin_memory()[None].to(device.torch, non_blocking=True)

    boundaries = torch.from_numpy(layout.boundaries).pin_memory().to(device.torch, non_blocking=True)
    return MicroBatch(
        own(rows.tokens_BS),
        own(rows.labels_BS),
        own(rows.loss_mask_BS),
        own(rows.positions_BS),
        attention_mask=None,
        packed=PackedSeqParams(
            qkv_format="thd",
            cu_seqlens_q=boundaries,
            cu_seqlens_kv=boundaries,
            max_seqlen_q=layout.longest,
            max_seqlen_kv=layout.longest,
        ),
        length=len(layout.origin_P),
    )
