"""An update that is refused leaves weights and optimizer as if its batch had never been seen, on every layout."""

from __future__ import annotations

import pytest
import torch
from ranks import run_ranks
from tiny import global_batch, share, tiny_config, tiny_engine

from megakor.config.schema import ParallelConfig
from megakor.train.state import sharded_state

LAYOUTS = {
    "one": (1, ParallelConfig()),
    "tp2": (2, ParallelConfig(tensor=2)),
    "pp2": (2, ParallelConfig(pipeline=2)),
    "dp2 distributed optimizer": (2, ParallelConfig(distributed_optimizer=True)),
}


def trained(parallel: ParallelConfig, precision: str, batches: list[int], refused: int | None) -> list[torch.Tensor]:
    """This rank's weights and moments after some global batches, and the loss that was judged of the refused one."""
    config = tiny_config(parallel)
    config.train.precision = precision
    judged: list[tuple[float, float]] = []
    with tiny_engine(config) as engine:
        for number in batches:

            def allow(loss: float, norm: float, number: int = number) -> bool:
                judged.append((loss, norm))
                return number != refused

            result = engine.train_step(share(engine, global_batch(number), precision), 3e-3, allow)
            assert result.updated == (number != refused)
            assert (result.loss, result.grad_norm) == judged[-1]
        state = sharded_state(engine, loading=False)
        shards = [*_tensors(state["model"]), *_tensors(state["optimizer"])]
        steps = [float(kept["step"]) for kept in _inner_states(engine)]
    assert len(judged) == len(batches) and all(norm > 0 for _, norm in judged)
    return [*shards, torch.tensor(steps)]


def _tensors(state: object) -> list[torch.Tensor]:
    if isinstance(state, dict):
        return [tensor for value in state.values() for tensor in _tensors(value)]
    data = getattr(state, "data", None)
    return [data.detach().clone()] if isinstance(data, torch.Tensor) else []


def _inner_states(engine: object) -> list[dict[str, torch.Tensor]]:
    inner = engine.optimizer.chained_optimizers[0].optimizer  # type: ignore[attr-defined]
    return list(inner.state.values())


@pytest.mark.parametrize(
    ("layout", "precision"),
    [("one", "fp32"), ("one", "bf16"), ("tp2", "fp32"), ("pp2", "fp32"), ("dp2 distributed optimizer", "bf16")],
)
def test_a_refused_batch_leaves_no_trace(layout: str, precision: str) -> None:
    size, parallel = LAYOUTS[layout]
    without = run_ranks(trained, size, parallel, precision, [0, 1, 2], None)
    refused = run_ranks(trained, size, parallel, precision, [0, 1, 7, 2], 7)
    for mine, other in zip(without, refused, strict=True):
        assert len(mine) == len(other) > 1
        assert all(torch.equal(one, two) for one, two in zip(mine, other, strict=True))
