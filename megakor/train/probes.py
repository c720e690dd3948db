"""Probes: tasks that a model is given at every evaluation, scored by its likelihoods. The same numbers on every layout,
and after a restart.

Shapes: I items, C choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from megakor.config.schema import Config, ProbeConfig
from megakor.corpus.tokenizer import Tokenizer
from megakor.data.probe_items import ChoiceItem, read_items
from megakor.data.probe_rows import ScoredRows, lay_out
from megakor.data.probe_texts import ScoredText, choice_texts, copying_texts
from megakor.data.rows import rows_of_rank
from megakor.errors import DataError
from megakor.model.transformer_config import parameter_dtype
from megakor.parallel.first_rank import shared_from_first_rank
from megakor.report.measures import ProbeRecord
from megakor.train.engine import Engine, Pulse
from megakor.train.micro_batch import MicroBatch, micro_batches

Scored = tuple[str, str, int, dict[str, float]]
"""Language, domain, items, scores."""


@dataclass(frozen=True)
class _Prepared:
    """A probe laid out for this rank."""

    name: str
    batches: list[MicroBatch]
    counts: np.ndarray
    """Predicted tokens of each span."""
    judge: Callable[[np.ndarray, np.ndarray], list[Scored]]
    """From losses (nats) and counts of all spans to scores."""


class Prober:
    """Gives an engine the probes of a config. Their items are read once, at the start."""

    def __init__(self, config: Config, engine: Engine, tokenizer: Tokenizer) -> None:
        """Collective. Raises DataError on every rank for questions that cannot be used."""
        self._engine = engine
        self._probes = [
            _prepare(name, probe, config, engine, tokenizer) for name, probe in config.evaluation.probes.items()
        ]

    def score(self, step: int, tokens: int, pulse: Pulse = lambda: None) -> list[ProbeRecord]:
        """One record for each probe, language and domain, the same on every rank. Collective."""
        records = []
        for probe in self._probes:
            losses = self._engine.losses_by_span(probe.batches, len(probe.counts), pulse).numpy()
            for language, domain, items, scores in probe.judge(losses, probe.counts):
                records.append(ProbeRecord(step, tokens, probe.name, language, domain, items, scores))
        return records


def _prepare(name: str, probe: ProbeConfig, config: Config, engine: Engine, tokenizer: Tokenizer) -> _Prepared:
    length = config.train.sequence_length
    if probe.kind == "copying":
        rows = lay_out(copying_texts(name, probe.items, probe.length, tokenizer), length)
        return _Prepared(name, _batches(rows, config, engine), rows.counts, judge_copies)

    def read() -> tuple[list[ChoiceItem], list[ScoredText]]:
        items = read_items(Path(probe.path), probe.items)
        try:
            return items, [text for item in items for text in choice_texts(item, tokenizer, length + 1)]
        except DataError as error:
            raise DataError(f"{probe.path}: {error}") from error

    items, texts = shared_from_first_rank(read)
    rows = lay_out(texts, length)
    return _Prepared(
        name, _batches(rows, config, engine), rows.counts, lambda losses, counts: judge_choices(items, losses)
    )


def _batches(rows: ScoredRows, config: Config, engine: Engine) -> list[MicroBatch]:
    """This rank's micro-batches of the rows."""
    topology, size = engine.topology, config.train.micro_batch_size
    mine = rows_of_rank(range(rows.count), topology.data_rank, topology.data_size, size)
    # megatron-core's interleaved schedule takes micro-batches in groups of as many as there are stages.
    mine += [[None] * size] * (-len(mine) % topology.pipeline_size)
    taken = [rows.take(chosen) for chosen in mine]
    # Texts see no other text, whatever mask the run has. Spans go where labels go.
    options = ("document", engine.device, topology, parameter_dtype(config.train.precision))
    batches = micro_batches([batch for batch, _ in taken], *options)
    spans = micro_batches([replace(batch, labels_BS=spans_BS) for batch, spans_BS in taken], *options)
    return [replace(batch, spans_BS=span.labels_BS) for batch, span in zip(batches, spans, strict=True)]


def judge_choices(items: Sequence[ChoiceItem], losses: np.ndarray) -> list[Scored]:
    """Scores by language and domain, from the summed losses of all choices of all items in their order.

    accuracy: the likeliest choice is right. accuracy_normalised: so is the likeliest by UTF-8 byte. probability: mean
    share of the right choice among the likelihoods of all, which moves where accuracies do not.
    """
    groups: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    first = 0
    for item in items:
        losses_C = losses[first : first + len(item.choices)]
        first += len(item.choices)
        bytes_C = np.array([len(choice.encode()) for choice in item.choices])
        likelihoods_C = np.exp(losses_C.min() - losses_C)
        plain = float(np.argmin(losses_C) == item.answer)
        normalised = float(np.argmin(losses_C / bytes_C) == item.answer)
        share = float(likelihoods_C[item.answer] / likelihoods_C.sum())
        groups.setdefault((item.language, item.domain), []).append((plain, normalised, share))
    names = ("accuracy", "accuracy_normalised", "probability")
    return [
        (language, domain, len(scores), dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True)))
        for (language, domain), scores in groups.items()
    ]


def judge_copies(losses: np.ndarray, counts: np.ndarray) -> list[Scored]:
    """Mean losses (nats per token) of the first and second copies, and what the second ones gain."""
    first, second = (float(losses[copy::2].sum() / counts[copy::2].sum()) for copy in (0, 1))
    scores = {"first_copy_loss": first, "second_copy_loss": second, "copying_gain": first - second}
    return [("", "", len(counts) // 2, scores)]
