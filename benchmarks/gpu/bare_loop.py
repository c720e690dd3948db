"""The loop that one writes around megatron-core on a GPU: what step_time.py compares MegaKor with.

megatron-core's layer spec for Transformer Engine with every fusion that needs no further package, one call of its
schedule and of its optimizer. Attention runs over whole rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from billion import LENGTH, VOCABULARY

if TYPE_CHECKING:
    from megakor.config.schema import ModelConfig
    from megakor.data.rows import RowBatch

LEARNING_RATE = 1e-5
"""Small: the rows are the same in every step."""


class BareLoop:
    """A model with its optimizer. Process groups exist already."""

    def __init__(self, model: ModelConfig, precision: str) -> None:
        from megatron.core.distributed import (
            DistributedDataParallel,
            DistributedDataParallelConfig,
            finalize_model_grads,
        )
        from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer

        self.config = _config(model, precision)
        settings = DistributedDataParallelConfig(grad_reduce_in_fp32=True)
        self._chunk = DistributedDataParallel(self.config, settings, _gpt(self.config))
        rates = {"lr": LEARNING_RATE, "weight_decay": 0.1, "adam_beta2": 0.95, "clip_grad": 1.0}
        self._optimizer = get_megatron_optimizer(
            OptimizerConfig(optimizer="adam", bf16=True, params_dtype=torch.bfloat16, **rates), [self._chunk]
        )
        self.config.finalize_model_grads_func = finalize_model_grads
        self.config.grad_scale_func = self._optimizer.scale_loss

    def step(self, batches: Sequence[RowBatch], cross_entropy: str) -> float:
        """One optimizer step; returns the mean loss of its micro-batches.

        Args:
            cross_entropy: "native" (megatron-core's, compiled) or "te" (Transformer Engine's kernel).
        """
        from megatron.core.pipeline_parallel import get_forward_backward_func

        self.config.cross_entropy_loss_fusion, self.config.cross_entropy_fusion_impl = True, cross_entropy
        self._chunk.zero_grad_buffer()
        self._optimizer.zero_grad()
        losses = get_forward_backward_func()(
            forward_step_func=_forward_step,
            data_iterator=iter(batches),
            model=self._chunk,
            num_microbatches=len(batches),
            seq_length=LENGTH,
            micro_batch_size=len(batches[0].tokens_BS),
            forward_only=False,
        )
        self._optimizer.step()
        return float(torch.stack([each["loss"] for each in losses]).mean())


def _config(model: ModelConfig, precision: str) -> Any:
    from megatron.core.transformer import TransformerConfig

    recipe = precision.removeprefix("fp8_")
    fp8 = {"fp8": "e4m3" if recipe == "blockwise" else "hybrid", "fp8_recipe": recipe} if precision != "bf16" else {}
    return TransformerConfig(
        num_layers=model.layers,
        hidden_size=model.hidden_size,
        ffn_hidden_size=model.ffn_hidden_size,
        num_attention_heads=model.attention_heads,
        num_query_groups=model.key_value_heads,
        normalization="RMSNorm",
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        bias_activation_fusion=True,
        masked_softmax_fusion=True,
        bias_dropout_fusion=True,
        persist_layer_norm=True,
        apply_rope_fusion=True,
        # It needs apex for the output layer.
        gradient_accumulation_fusion=False,
        params_dtype=torch.bfloat16,
        pipeline_dtype=torch.bfloat16,
        bf16=True,
        **fp8,
    )


def _gpt(config: Any) -> torch.nn.Module:
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_with_transformer_engine_spec

    model = GPTModel(
        config,
        get_gpt_layer_with_transformer_engine_spec(),
        VOCABULARY,
        LENGTH,
        position_embedding_type="rope",
        share_embeddings_and_output_weights=False,
    )
    return model.cuda()


def _forward_step(batches: Iterator[RowBatch], chunk: torch.nn.Module) -> tuple[torch.Tensor, Callable[..., Any]]:
    batch = next(batches)

    def on_device(values: Any) -> torch.Tensor:
        return torch.from_numpy(values).pin_memory().to("cuda", non_blocking=True)

    tokens, labels = on_device(batch.tokens_BS), on_device(batch.labels_BS)
    return chunk(tokens, on_device(batch.positions_BS), None, labels=labels), partial(_mean)


def _mean(loss_BS: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    loss = loss_BS.float().mean()
    return loss, {"loss": loss.detach().clone()}
