"""The one place that builds the model: megatron-core's GPTModel, in as many chunks as this rank's pipeline stage has.

megatron-core 0.19 marks GPTModel as deprecated in favour of HybridModel; the change will be made here.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from megakor.config.schema import ModelConfig
from megakor.model.canonical import canonical_pieces
from megakor.model.cross_entropy import vocabulary_parallel_cross_entropy
from megakor.model.layer_spec import layer_spec
from megakor.model.rope import Rotary, inverse_frequencies
from megakor.parallel.device import Device
from megakor.parallel.topology import Topology

if TYPE_CHECKING:
    from megatron.core.transformer import TransformerConfig


def padded_vocabulary(model: ModelConfig) -> int:
    """Rows of the embedding: the vocabulary, padded to model.vocabulary_multiple."""
    assert model.vocabulary_size is not None, "the loader fills in the tokenizer's vocabulary"
    return -(-model.vocabulary_size // model.vocabulary_multiple) * model.vocabulary_multiple


def build_model(
    model: ModelConfig, config: TransformerConfig, device: Device, topology: Topology, longest_sequence: int
) -> list[torch.nn.Module]:
    """This rank's model chunks, one per virtual pipeline stage, on `device`; their weights are not drawn yet."""
    from megatron.core import parallel_state as groups

    rotary = Rotary(inverse_frequencies(model, config.kv_channels).to(device.torch))
    on_cuda = device.kind == "cuda"
    stages = config.virtual_pipeline_model_parallel_size or 1
    chunks: list[torch.nn.Module] = []
    with device.megatron():
        for stage in range(stages):
            virtual_stage = stage if stages > 1 else None
            chunk: Any = _llama_class()(
                config,
                layer_spec(config, on_cuda, virtual_stage, rotary),
                padded_vocabulary(model),
                longest_sequence,
                pre_process=groups.is_pipeline_first_stage(ignore_virtual=False, vp_stage=virtual_stage),
                post_process=groups.is_pipeline_last_stage(ignore_virtual=False, vp_stage=virtual_stage),
                parallel_output=True,
                share_embeddings_and_output_weights=model.tied_embeddings,
                position_embedding_type="rope" if on_cuda else "none",
                vp_stage=virtual_stage,
            )
            chunk.real_vocabulary = model.vocabulary_size
            chunk.rotary = rotary
            chunks.append(chunk.to(device.torch))
    for chunk in chunks:
        _mark_split_parameters(chunk, topology)
    use_rotary_frequencies(chunks, model)
    return chunks


def use_rotary_frequencies(chunks: list[torch.nn.Module], model: ModelConfig) -> None:
    """Turn queries and keys by the base and the scaling of `model` from now on; the weights stay."""
    for chunk in chunks:
        config: Any = chunk.config
        frequencies = inverse_frequencies(model, config.kv_channels)
        embedding: Any = getattr(chunk, "rotary_pos_emb", None)
        if embedding is None:  # on a CPU, where attention does it by itself
            rotary: Any = chunk.rotary
            rotary.use(frequencies)
            continue
        # megatron-core caches angles by embedding and length, so other frequencies take another embedding.
        embedding = copy.copy(embedding)
        embedding.inv_freq = frequencies.to(embedding.inv_freq.device)
        chunk.rotary_pos_emb = embedding


def _mark_split_parameters(chunk: torch.nn.Module, topology: Topology) -> None:
    """Tell megatron-core which parameters are parts of a whole.

    It does so itself when it draws the weights, which it does not do here; without the mark the gradient norm counts
    the parts of one tensor-parallel rank only, and clipping depends on the layout.
    """
    for parameter, pieces in canonical_pieces(chunk, topology.tensor_rank, topology.tensor_size):
        if pieces[0].local_shape != pieces[0].shape:
            parameter.tensor_model_parallel = True  # type: ignore[attr-defined]
            parameter.partition_dim = pieces[0].axis  # type: ignore[attr-defined]
            parameter.partition_stride = len(pieces) if len(pieces) == 2 else 1  # type: ignore[attr-defined]


@cache
def _llama_class() -> type[torch.nn.Module]:
    from megatron.core.models.gpt import GPTModel

    class Llama(GPTModel):
        """GPTModel with a loss that gives padding ids no probability."""

        real_vocabulary: int

        def compute_language_model_loss(self, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            group: Any = self.pg_collection.tp
            width = logits.shape[-1]
            first = group.rank() * width
            real = min(max(self.real_vocabulary - first, 0), width)
            loss_SB = vocabulary_parallel_cross_entropy(logits, labels.transpose(0, 1).contiguous(), first, real, group)
            return loss_SB.transpose(0, 1).contiguous()

    return Llama
