"""Exact parameter counts of the dense Llama family (RMSNorm, SwiGLU, grouped-query attention, no biases)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from megakor.config.schema import ModelConfig

WITHOUT_WEIGHTS = ("rope_base", "rope_scaling")
"""Keys of the model that shape no parameter: a run may go on with other values."""


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters. `embedding` and `output` leave the padding of the vocabulary out; `padding` is it."""

    embedding: int
    output: int
    """0 with tied embeddings."""
    attention_per_layer: int
    ffn_per_layer: int
    norms_per_layer: int
    layers: int
    final_norm: int
    padding: int
    """Rows that pad the vocabulary, in the embedding and in the output. They are zero and never used."""

    @property
    def per_layer(self) -> int:
        """Of one transformer layer."""
        return self.attention_per_layer + self.ffn_per_layer + self.norms_per_layer

    @property
    def non_embedding(self) -> int:
        """Without the input embedding and the output layer."""
        return self.layers * self.per_layer + self.final_norm

    @property
    def total(self) -> int:
        """What a paper prints: without the padding."""
        return self.embedding + self.output + self.non_embedding

    @property
    def stored(self) -> int:
        """What is in memory and in a checkpoint: with the padding."""
        return self.total + self.padding


def without_weights(model: ModelConfig) -> dict[str, Any]:
    """What of the model may change on the way of a run."""
    return {key: value for key, value in asdict(model).items() if key in WITHOUT_WEIGHTS}


def head_dimension(model: ModelConfig) -> int:
    """As set, or the hidden size shared out over the heads."""
    return model.head_dimension or model.hidden_size // model.attention_heads


def key_value_heads(model: ModelConfig) -> int:
    """As set, or as many as attention heads."""
    return model.key_value_heads or model.attention_heads


def padded_vocabulary(model: ModelConfig, vocabulary_size: int) -> int:
    """Rows of the embedding: the vocabulary rounded up to model.vocabulary_multiple."""
    return -(-vocabulary_size // model.vocabulary_multiple) * model.vocabulary_multiple


def count_parameters(model: ModelConfig, vocabulary_size: int) -> ParameterCount:
    """Counts the parameters of `model` with a vocabulary of `vocabulary_size` tokens."""
    hidden, head = model.hidden_size, head_dimension(model)
    tables = 1 if model.tied_embeddings else 2
    queries_and_output = 2 * hidden * model.attention_heads * head
    keys_and_values = 2 * hidden * key_value_heads(model) * head
    padding_rows = padded_vocabulary(model, vocabulary_size) - vocabulary_size
    return ParameterCount(
        embedding=vocabulary_size * hidden,
        output=0 if model.tied_embeddings else vocabulary_size * hidden,
        attention_per_layer=queries_and_output + keys_and_values,
        ffn_per_layer=3 * hidden * model.ffn_hidden_size,
        norms_per_layer=2 * hidden + (2 * head if model.qk_norm else 0),
        layers=model.layers,
        final_norm=hidden,
        padding=tables * padding_rows * hidden,
    )
