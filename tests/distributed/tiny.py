"""A tiny model, and batches that make every difference between layouts show: several documents a row, masked losses,
unequal token counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from megakor.config.schema import Config, ModelConfig, ParallelConfig
from megakor.config.schema_training import OptimizerConfig
from megakor.data.rows import RowBatch
from megakor.launch.rendezvous import Rendezvous
from megakor.model.transformer_config import parameter_dtype
from megakor.parallel.device import choose_device
from megakor.parallel.topology import start_process_groups, stop_process_groups
from megakor.train.engine import Engine, build_engine
from megakor.train.micro_batch import MicroBatch, micro_batches

VOCABULARY, SEQUENCE, ROWS, MICRO_ROWS = 1000, 32, 8, 2

MODEL = ModelConfig(
    layers=4,
    hidden_size=32,
    ffn_hidden_size=88,
    attention_heads=4,
    key_value_heads=2,
    vocabulary_size=VOCABULARY,
    vocabulary_multiple=128,
    qk_norm=True,
    # Large enough for every parameter to have a gradient well above rounding.
    init_std=0.08,
)


def tiny_config(parallel: ParallelConfig, **model: object) -> Config:
    config = Config(model=replace(MODEL, **model), parallel=parallel, optimizer=OptimizerConfig(epsilon=1e-6))  # type: ignore[arg-type]
    config.train.sequence_length = SEQUENCE
    return config


@contextmanager
def tiny_engine(config: Config, device_kind: str = "cpu") -> Iterator[Engine]:
    """An engine on this rank of the layout."""
    rendezvous = Rendezvous.from_environment()
    device = choose_device(device_kind, rendezvous.local_rank)
    topology = start_process_groups(config.parallel, device, rendezvous)
    try:
        yield build_engine(config, device, topology, SEQUENCE)
    finally:
        stop_process_groups()


def global_batch(number: int, length: int = SEQUENCE) -> list[RowBatch]:
    """The micro-batches of a global batch. The first rows have few tokens with a loss and the last ones many."""
    generator = np.random.default_rng(number)
    return [_rows(generator, (index + 1) / (ROWS // MICRO_ROWS), length) for index in range(ROWS // MICRO_ROWS)]


def _rows(generator: np.random.Generator, kept: float, length: int) -> RowBatch:
    shape = (MICRO_ROWS, length)
    # Sorted from a few ids, so that there is something to learn in a dozen steps.
    ids = np.sort(generator.integers(0, VOCABULARY // 4, (MICRO_ROWS, length + 1)), axis=1) * 4
    return RowBatch(
        tokens_BS=ids[:, :-1].copy(),
        labels_BS=ids[:, 1:].copy(),
        loss_mask_BS=(generator.random(shape) < kept).astype(np.float32),
        segments_BS=np.cumsum(generator.random(shape) < 0.1, axis=1).astype(np.int32),
        positions_BS=np.tile(np.arange(length), (MICRO_ROWS, 1)),
    )


def share(engine: Engine, batches: list[RowBatch], precision: str = "fp32", mask: str = "document") -> list[MicroBatch]:
    """This rank's micro-batches of a global batch."""
    topology = engine.topology
    count = len(batches) // topology.data_size
    mine = batches[topology.data_rank * count : (topology.data_rank + 1) * count]
    return micro_batches(mine, mask, engine.device, topology, parameter_dtype(precision))
