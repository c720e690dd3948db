"""What follows from a config and a world size: copies of the model, and what a global batch is made of."""

from __future__ import annotations

import math

from megakor.config.phases import phases_of
from megakor.config.schema import Config


def model_parallel_size(config: Config) -> int:
    """Ranks that share one copy of the model."""
    return config.parallel.tensor * config.parallel.pipeline * config.parallel.context


def data_parallel_size(config: Config, world_size: int) -> int:
    """Copies of the model. Only whole when the world size is a multiple of `model_parallel_size`."""
    return max(1, world_size // model_parallel_size(config))


def batch_quantum(config: Config, world_size: int) -> int:
    """train.global_batch_size must be a multiple of this many tokens: whole micro-batches on every copy, for every
    sequence length that is read with it."""
    lengths = {phase.sequence_length for phase in phases_of(config) if phase.batch_tokens is None}
    return math.lcm(*(lengths or {config.train.sequence_length})) * rows_quantum(config, world_size)


def rows_quantum(config: Config, world_size: int) -> int:
    """Rows of one micro-batch on every copy of the model."""
    return config.train.micro_batch_size * data_parallel_size(config, world_size)


def micro_batches(config: Config, sequence_length: int, batch_tokens: int, world_size: int) -> int:
    """Micro-batches of each copy of the model in one step."""
    return batch_tokens // sequence_length // rows_quantum(config, world_size)
