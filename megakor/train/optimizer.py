"""AdamW by megatron-core over data-parallel model chunks, and the rates of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from megakor.config.schema import ParallelConfig
from megakor.config.schema_training import OptimizerConfig, TrainConfig
from megakor.parallel.device import Device

if TYPE_CHECKING:
    from megatron.core.optimizer import MegatronOptimizer


def data_parallel(
    chunks: list[torch.nn.Module], config: Any, parallel: ParallelConfig, device: Device
) -> list[torch.nn.Module]:
    """Wrap chunks for data parallelism: gradients are summed in float32, in buckets that overlap with backward on
    CUDA."""
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig

    settings = DistributedDataParallelConfig(
        grad_reduce_in_fp32=True,
        use_distributed_optimizer=parallel.distributed_optimizer,
        overlap_grad_reduce=device.kind == "cuda",
    )
    with device.megatron():
        return [
            DistributedDataParallel(config, settings, chunk, disable_bucketing=index > 0)
            for index, chunk in enumerate(chunks)
        ]


def build_optimizer(
    chunks: list[torch.nn.Module],
    config: Any,
    optimizer: OptimizerConfig,
    parallel: ParallelConfig,
    train: TrainConfig,
    device: Device,
) -> MegatronOptimizer:
    """The optimizer of this rank, and the hooks that megatron-core's schedules expect on the model's config."""
    from megatron.core.distributed import finalize_model_grads
    from megatron.core.optimizer import OptimizerConfig as MegatronOptimizerConfig
    from megatron.core.optimizer import get_megatron_optimizer, get_standard_config_overrides

    settings = MegatronOptimizerConfig(
        optimizer="adam",
        lr=0.0,
        weight_decay=optimizer.weight_decay,
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        adam_eps=optimizer.epsilon,
        # With 0 megatron-core would not measure the norm either, which a run reports and watches.
        clip_grad=optimizer.clip_grad or math.inf,
        bf16=train.precision != "fp32",
        params_dtype=config.params_dtype,
        use_distributed_optimizer=parallel.distributed_optimizer,
    )
    with device.megatron():
        built = get_megatron_optimizer(settings, chunks, config_overrides=get_standard_config_overrides(settings))
    config.finalize_model_grads_func = finalize_model_grads
    config.grad_scale_func = built.scale_loss
    if device.kind == "cpu":
        _use_fused_kernel(built)
    if device.kind == "cuda":
        _overlap_communication(config, chunks, parallel)
    return built


class UpdateGate:
    """Stands between the clipping and the update of megatron-core's optimizer, and may refuse the update.

    megatron-core calls these two methods of its optimizer one after the other in every step: the first reads the norm
    to the host, because it clips by it.
    """

    def __init__(self, optimizer: MegatronOptimizer) -> None:
        self._optimizer = optimizer
        self._measure, self._update = optimizer.get_grad_norm, optimizer.step_with_ready_grads
        self._norm = 0.0
        self._allow: Callable[[float], bool] = lambda norm: True
        optimizer.get_grad_norm = self._measured
        optimizer.step_with_ready_grads = self._allowed

    def step(self, allow: Callable[[float], bool]) -> tuple[bool, float]:
        """One step if `allow(grad_norm)`: whether there was an update, and the norm of the gradient before clipping.

        Where it is refused weights and optimizer stay as they are. Every rank has to decide alike.
        """
        self._norm, self._allow = 0.0, allow
        updated, *_ = self._optimizer.step()
        return bool(updated), self._norm

    def _measured(self) -> float:
        self._norm = float(self._measure() or 0.0)
        return self._norm

    def _allowed(self) -> bool:
        return self._allow(self._norm) and self._update()


def set_rates(optimizer: MegatronOptimizer, learning_rate: float, weight_decay: float) -> None:
    """Give every parameter group its learning rate and weight decay for this step. Nothing of this is read from a
    checkpoint."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("lr_mult", 1.0)
        group["weight_decay"] = weight_decay * group.get("wd_mult", 1.0)


def _use_fused_kernel(optimizer: MegatronOptimizer) -> None:
    """One pass over memory per parameter. megatron-core does not pass torch's AdamW the option on its way."""
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = True, False


def _overlap_communication(config: Any, chunks: list[torch.nn.Module], parallel: ParallelConfig) -> None:
    """Gradients are reduced while the backward pass goes on, once per step and not once per micro-batch."""

    def one_or_many(functions: list[Any]) -> Any:
        return functions[0] if len(functions) == 1 else functions

    config.no_sync_func = one_or_many([chunk.no_sync for chunk in chunks])
    if parallel.pipeline > 1:
        config.grad_sync_func = one_or_many([chunk.start_grad_sync for chunk in chunks])
