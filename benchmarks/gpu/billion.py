"""What the GPU benchmark trains: a Llama of 1.3 billion parameters on rows of 4,096 tokens, made of documents of random
ids whose lengths are like those of web text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from megakor.data.rows import RowBatch

if TYPE_CHECKING:
    from megakor.config.schema import Config, ModelConfig
    from megakor.parallel.topology import Topology
    from megakor.train.engine import Engine

LENGTH, VOCABULARY = 4096, 65_536
MEDIAN_DOCUMENT, SPREAD = 500, 1.0
"""Tokens, and the standard deviation of their logarithm: the mean is 824, and one document in 56 fills a row."""


def billion_model(layers: int) -> ModelConfig:
    """1.28 billion parameters with 16 layers: hidden 2,048, ffn 8,192, 16 heads of 128, 8 of keys and values."""
    from megakor.config.schema import ModelConfig

    return ModelConfig(
        layers=layers,
        hidden_size=2048,
        ffn_hidden_size=8192,
        attention_heads=16,
        key_value_heads=8,
        vocabulary_size=VOCABULARY,
    )


def start_on_gpu() -> Topology:
    """This process as a world of its own, on the first CUDA device."""
    from megakor.config.schema import ParallelConfig
    from megakor.launch.rendezvous import Rendezvous
    from megakor.parallel.device import choose_device
    from megakor.parallel.topology import start_process_groups

    return start_process_groups(ParallelConfig(), choose_device("cuda"), Rendezvous(0, 1, 0))


def megakor_engine(model: ModelConfig, precision: str, topology: Topology) -> Engine:
    from megakor.config.schema import Config
    from megakor.parallel.device import choose_device
    from megakor.train.engine import build_engine

    config: Config = Config(device="cuda", model=model)
    config.train.precision = precision
    return build_engine(config, choose_device("cuda"), topology, LENGTH)


def random_rows(rows: int, seed: int, documents: bool) -> RowBatch:
    """A micro-batch; without `documents` a row is one segment."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, VOCABULARY, (rows, LENGTH + 1))
    segments_BS = np.stack([_segments(generator) for _ in range(rows)]) if documents else np.zeros((rows, LENGTH), int)
    return RowBatch(
        tokens_BS=ids[:, :-1].copy(),
        labels_BS=ids[:, 1:].copy(),
        loss_mask_BS=np.ones((rows, LENGTH), np.float32),
        segments_BS=segments_BS.astype(np.int32),
        positions_BS=np.tile(np.arange(LENGTH), (rows, 1)),
    )


def attention_span(batches: list[RowBatch]) -> float:
    """The mean over tokens of their segment's length in the row."""
    lengths = [np.bincount(segments_S) for batch in batches for segments_S in batch.segments_BS]
    return float(sum((counts**2).sum() for counts in lengths) / sum(counts.sum() for counts in lengths))


def _segments(generator: np.random.Generator) -> np.ndarray:
    """Numbers of the documents of one row, which begins somewhere inside of its first one."""
    lengths = np.exp(generator.normal(np.log(MEDIAN_DOCUMENT), SPREAD, LENGTH)).astype(int) + 1
    first = generator.integers(0, lengths[0])
    return np.repeat(np.arange(LENGTH), lengths)[first : first + LENGTH]
