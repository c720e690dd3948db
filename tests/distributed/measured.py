"""What is measured at an evaluation beside losses, on a rank of a layout: probes, and how far weights have moved."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import VOCABULARY, global_batch, share, tiny_config, tiny_engine

from megakor.config.schema import ParallelConfig, ProbeConfig
from megakor.corpus.tokenizer import Tokenizer
from megakor.report.measures import ProbeRecord, WeightsRecord
from megakor.train.probes import Prober
from megakor.train.weight_distance import WeightDistance

STEPS = 2
LEARNING_RATE = 3e-3
ITEMS: list[dict[str, Any]] = [
    {"question": "abcdefgh", "choices": ["ijk", "zyxwvuts", "q"], "answer": 0, "language": "en", "domain": "general"},
    {"question": "hgfedcba" * 6, "choices": ["zz", "aab"], "answer": 1, "language": "en", "domain": "general"},
    {"question": "1", "choices": ["23", "456", "7"], "answer": 2, "language": "en", "domain": "domain"},
    {"question": "x y", "choices": [" z", " abc"], "answer": 0, "language": "en", "domain": "domain"},
]


class Letters(Tokenizer):
    """One token a byte, at every fourth id: what the tiny model is trained on."""

    def __init__(self) -> None:
        super().__init__(None, "letters")

    @property
    def vocabulary_size(self) -> int:
        return VOCABULARY

    def token_id(self, token: str) -> int | None:
        return None

    def encode(self, text: str) -> list[int]:
        return [byte * 4 % VOCABULARY for byte in text.encode()]

    def encode_batch(self, texts: object) -> list[list[int]]:
        raise NotImplementedError

    def decode(self, ids: object) -> str:
        raise NotImplementedError

    def contents(self) -> list[bytes]:
        return [b"x" if number % 4 == 0 else b"" for number in range(VOCABULARY)]

    def fragments(self) -> np.ndarray:
        raise NotImplementedError


@dataclass
class Measured:
    """At the beginning and after a few steps."""

    probes: list[ProbeRecord]
    weights: list[WeightsRecord]
    losses: np.ndarray
    """Nats of every choice, after the steps."""
    directly: np.ndarray | None
    """The same from one forward pass a choice, where one rank has the whole model."""


def write_items(directory: Path) -> Path:
    path = directory / "items.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    return path


def measured(
    parallel: ParallelConfig, path: Path, precision: str = "fp32", model: dict[str, object] | None = None
) -> Measured:
    config = tiny_config(parallel, **(model or {}))
    config.train.precision = precision
    config.train.micro_batch_size = 2
    config.evaluation.probes = {
        "letters": ProbeConfig(path=str(path)),
        "copying": ProbeConfig("copying", items=5, length=10),
    }
    with tiny_engine(config) as engine:
        prober, distance = Prober(config, engine, Letters()), WeightDistance(engine, config.model.layers)
        probes, weights = prober.score(0, 0), [distance.measure(0, 0)]
        for step in range(STEPS):
            engine.train_step(share(engine, global_batch(step), precision), LEARNING_RATE)
        probes, weights = probes + prober.score(STEPS, 1), [*weights, distance.measure(STEPS, 1)]
        prepared = prober._probes[0]
        losses = engine.losses_by_span(prepared.batches, len(prepared.counts)).numpy()
        alone = engine.topology.world_size == 1 and precision == "fp32"
        directly = direct_losses(engine.bare_chunks[0], engine.device.megatron) if alone else None
    return Measured(probes, weights, losses, directly)


def direct_losses(
    model: torch.nn.Module, backend: Callable[[], AbstractContextManager[None]], longest: int = 33
) -> np.ndarray:
    """Nats of every choice: its text alone in a row, and the log-softmax of the logits."""
    found = []
    for item in ITEMS:
        for choice in item["choices"]:
            question, whole = (Letters().encode(text) for text in (item["question"], item["question"] + choice))
            ids = whole[-longest:]
            count = len(whole) - len(question)
            tokens_1S = torch.tensor([ids[:-1]])
            with backend(), torch.no_grad():
                logits_SV = model(tokens_1S, torch.arange(len(ids) - 1)[None], None)[0, :, :VOCABULARY]
            log_SV = torch.log_softmax(logits_SV.double(), dim=-1)
            found.append(-sum(float(log_SV[place, ids[place + 1]]) for place in range(len(ids) - 1)[-count:]))
    return np.array(found)
