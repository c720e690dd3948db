"""What happens to the gradients of all ranks between the backward pass and the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist


def finalize_gradients(
    finalize: Callable[..., Any],
    chunks: Sequence[torch.nn.Module],
    tokens: torch.Tensor,
    *,
    pg_collection: Any,
    **options: Any,
) -> None:
    """Add up the gradients of all ranks and divide them by the tokens of the global batch.

    megatron-core's own function divides, too, but asks the device first whether there are any tokens, and the host
    waits for the whole backward pass to hear the answer. Without tokens the gradients are zero.

    Args:
        finalize: megatron-core's `finalize_model_grads`.
        tokens: of this rank, as a number on its device; on the last pipeline stage only it is more than zero.
        pg_collection: megatron-core's process groups.
    """
    finalize(chunks, None, pg_collection=pg_collection, **options)
    last_stage = dist.get_global_rank(pg_collection.pp, pg_collection.pp.size() - 1)
    dist.broadcast(tokens, src=last_stage, group=pg_collection.pp)
    dist.all_reduce(tokens, group=pg_collection.dp_cp)
    for chunk in chunks:
        chunk.scale_gradients(1.0 / tokens.clamp(min=1))  # type: ignore[operator]
