"""A small sharded state, and functions run on several gloo ranks: what the checkpoint tests share."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.dist_checkpointing.mapping import ShardedObject, ShardedTensor

from megakor.checkpoint.manager import CheckpointManager, Policy
from megakor.parallel.cpu_backend import cpu_backend

MODEL = {"hidden_size": 6, "layers": 2}
LAYERS = 2


def sharded_state(rank: int = 0, size: int = 1, seed: int = 0) -> dict[str, Any]:
    """One weight split over all ranks, layers dealt out to ranks, one replicated weight, optimizer groups, objects."""
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(8, 6, generator=generator), torch.randn(6, generator=generator)
    layers = torch.randn(LAYERS, 4, generator=generator)
    # The rank's part is a view into a larger tensor, as the parts of megatron-core's buffers are.
    model: dict[str, Any] = {
        "weight": ShardedTensor.from_rank_offsets("weight", weight.chunk(size)[rank], (0, rank, size)),
        "bias": ShardedTensor.from_rank_offsets("bias", bias, replica_id=rank),
        "norm._extra_state": ShardedObject("norm._extra_state", b"pickled by the module", (1,), (0,), replica_id=rank),
    }
    for layer in range(rank, LAYERS, size):
        offsets = (0, layer, LAYERS)
        model[f"layers.{layer}"] = ShardedTensor.from_rank_offsets(
            "layers", layers[layer].clone(), offsets, prepend_axis_num=1
        )
    groups = [{"lr": 0.1, "betas": (0.9, 0.95), "params": [0, 1]}]
    return {
        "model": model,
        "optimizer": {"param_groups": groups, "common_step": torch.tensor(3.0)},
        "counters": ShardedObject("counters", {"updates": seed}, (1,), (0,), replica_id=rank),
    }


def manager(directory: Path, **options: Any) -> CheckpointManager:
    layout = options.pop("layout", {"tensor": 1, "pipeline": 1, "data": 1})
    told = {name: options.pop(name) for name in ("on_saved", "on_passed_over") if name in options}
    model = options.pop("model", MODEL)
    return CheckpointManager(directory, Policy(**options), model=model, layout=layout, **told)


@contextmanager
def one_rank() -> Iterator[None]:
    """A world of one rank in this process, with megatron-core on the CPU."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with cpu_backend():
            yield
    finally:
        dist.destroy_process_group()


def run_ranks(function: Callable[..., None], size: int, *arguments: Any) -> None:
    """Run `function(rank, size, *arguments)` on `size` forked ranks; the first failure is raised with its traceback."""
    context = multiprocessing.get_context("fork")
    failures = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        processes = [
            context.Process(target=_rank, args=(function, rank, size, store, failures, arguments))
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    if not failures.empty():
        raise AssertionError(failures.get())
    codes = [process.exitcode for process in processes]
    if any(codes):
        raise AssertionError(f"exit codes of the ranks: {codes}")


def _rank(
    function: Callable[..., None], rank: int, size: int, store: Path, failures: Any, arguments: tuple[Any, ...]
) -> None:
    # A fork does not copy the threads of the parent's pool; with one thread torch does not look for them.
    torch.set_num_threads(1)
    file_store = dist.FileStore(str(store), size)
    try:
        dist.init_process_group("gloo", store=file_store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
        with cpu_backend():
            function(rank, size, *arguments)
        dist.destroy_process_group()
    except BaseException:
        failures.put(f"rank {rank}:\n{traceback.format_exc()}")
        os._exit(1)
