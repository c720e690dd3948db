"""The part of the schema that says how long, in which steps and at which rate a model is trained."""

from __future__ import annotations

from dataclasses import dataclass

from megakor.config.quantities import Tokens


@dataclass
class BatchRampConfig:
    """A global batch that grows."""

    start: Tokens = 0
    """Tokens of the first global batch."""
    over: Tokens = 0
    """The batch grows to train.global_batch_size over these tokens, in multiples of its start."""


@dataclass
class TrainConfig:
    """Budget, batch and number format."""

    tokens: Tokens = 1_000_000
    """The budget. The run ends at the first step at or after it."""
    global_batch_size: Tokens = 16_384
    """In tokens. A multiple of sequence_length x micro_batch_size x data-parallel size."""
    micro_batch_size: int = 1
    """In sequences."""
    sequence_length: int = 512
    """In tokens. A phase may have its own."""
    precision: str = "fp32"
    """fp32, bf16, fp8_delayed, fp8_tensorwise or fp8_blockwise. FP8 needs a Hopper GPU and Transformer Engine."""
    recompute: str = "none"
    """Activation recomputation: none, selective (core attention) or full (every layer)."""
    batch_ramp: BatchRampConfig | None = None
    """A smaller global batch at the start. Default: none."""


@dataclass
class OptimizerConfig:
    """AdamW."""

    beta1: float = 0.9
    """AdamW: decay of the mean of gradients."""
    beta2: float = 0.95
    """AdamW: decay of the mean of squared gradients."""
    epsilon: float = 1e-8
    """AdamW: added to the root of that mean."""
    weight_decay: float = 0.1
    """Not applied to norms."""
    clip_grad: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""


@dataclass
class LrConfig:
    """A schedule of the learning rate over one segment of tokens."""

    schedule: str = "cosine"
    """constant, linear, cosine or wsd (warm up, stay, decay)."""
    peak: float = 3e-4
    """The highest learning rate."""
    minimum: float = 0.0
    """Where a decay ends."""
    start: float = 0.0
    """Where a warm-up starts."""
    warmup: Tokens = 0
    """Length of the linear warm-up."""
    decay: Tokens | None = None
    """wsd only: the length of the decay, at the end of the segment. Default: a tenth of the segment."""
    decay_shape: str = "1-sqrt"
    """wsd only: linear, cosine, exponential or 1-sqrt."""
