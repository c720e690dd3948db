"""From our config to megatron-core's TransformerConfig, in one place."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from megakor.config.schema import ModelConfig, ParallelConfig
from megakor.config.schema_training import TrainConfig
from megakor.parallel.device import Device

if TYPE_CHECKING:
    from megatron.core.transformer import TransformerConfig

FP8_RECIPES = {"fp8_delayed": "delayed", "fp8_tensorwise": "tensorwise", "fp8_blockwise": "blockwise"}


def parameter_dtype(precision: str) -> torch.dtype:
    """float32 for fp32, bfloat16 for everything else (FP8 is a matter of the matrix products, not of the
    parameters)."""
    return torch.float32 if precision == "fp32" else torch.bfloat16


def transformer_config(
    model: ModelConfig, parallel: ParallelConfig, train: TrainConfig, device: Device
) -> TransformerConfig:
    """The dense Llama family: RMSNorm before each block, SwiGLU, grouped-query attention, RoPE, no bias, no dropout."""
    from megatron.core.transformer import TransformerConfig

    with device.megatron():
        return TransformerConfig(
            num_layers=model.layers,
            hidden_size=model.hidden_size,
            ffn_hidden_size=model.ffn_hidden_size,
            num_attention_heads=model.attention_heads,
            num_query_groups=model.key_value_heads or model.attention_heads,
            kv_channels=model.head_dimension or model.hidden_size // model.attention_heads,
            normalization="RMSNorm",
            layernorm_epsilon=model.norm_epsilon,
            qk_layernorm=model.qk_norm,
            gated_linear_unit=True,
            activation_func=torch.nn.functional.silu,
            add_bias_linear=False,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            # Weights are drawn by megakor.model.initialize, the same on every layout.
            perform_initialization=False,
            init_method=partial(torch.nn.init.normal_, std=model.init_std),
            output_layer_init_method=partial(torch.nn.init.normal_, std=model.init_std / math.sqrt(2 * model.layers)),
            # The loss is a token-weighted mean over the global batch, whatever the layout.
            calculate_per_token_loss=True,
            tensor_model_parallel_size=parallel.tensor,
            pipeline_model_parallel_size=parallel.pipeline,
            context_parallel_size=parallel.context,
            sequence_parallel=parallel.sequence,
            params_dtype=parameter_dtype(train.precision),
            pipeline_dtype=parameter_dtype(train.precision),
            bf16=train.precision != "fp32",
            **_interleaving(parallel),
            **_recomputation(train.recompute),
            **_fp8(train.precision),
            **(_on_cuda() if device.kind == "cuda" else _on_cpu()),
        )


def _interleaving(parallel: ParallelConfig) -> dict[str, Any]:
    if parallel.virtual_pipeline == 1:
        return {}
    # Without overlap, megatron-core's interleaved schedule on two stages runs and gives wrong gradients.
    return {
        "virtual_pipeline_model_parallel_size": parallel.virtual_pipeline,
        "overlap_p2p_comm": True,
        "batch_p2p_comm": False,
    }


def _recomputation(recompute: str) -> dict[str, Any]:
    if recompute == "full":
        return {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1}
    if recompute == "selective":
        return {"recompute_granularity": "selective", "recompute_modules": ["core_attn"]}
    return {}


def _fp8(precision: str) -> dict[str, Any]:
    if precision not in FP8_RECIPES:
        return {}
    # Blockwise scaling has its own exponent per block and uses E4M3 throughout (Transformer Engine's recipe for
    # Hopper).
    return {"fp8": "e4m3" if precision == "fp8_blockwise" else "hybrid", "fp8_recipe": FP8_RECIPES[precision]}


def _on_cpu() -> dict[str, Any]:
    return {
        "use_cpu_initialization": True,
        "gradient_accumulation_fusion": False,
        "bias_activation_fusion": False,
        "masked_softmax_fusion": False,
        "bias_dropout_fusion": False,
        "persist_layer_norm": False,
        "apply_rope_fusion": False,
        # The hook through which the MLP takes an activation module of the layer spec; ours is megakor.model.activation.
        "use_te_activation_func": True,
    }


def _on_cuda() -> dict[str, Any]:
    return {
        "use_cpu_initialization": False,
        "gradient_accumulation_fusion": False,
        "bias_activation_fusion": True,
        "masked_softmax_fusion": True,
        "bias_dropout_fusion": True,
        "persist_layer_norm": True,
        "apply_rope_fusion": True,
    }
