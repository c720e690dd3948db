"""Validation: the same text every time, one loss per source, the same on every layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from megakor.config.phases import sequence_lengths
from megakor.config.schema import Config
from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.corpus.tokenizer import Tokenizer
from megakor.data.rows import read_rows, rows_of_rank
from megakor.data.validation import ValidationSet, open_validation
from megakor.errors import DataError
from megakor.model.transformer_config import parameter_dtype
from megakor.report.records import ValidationRecord
from megakor.train.engine import Engine, Pulse
from megakor.train.micro_batch import MicroBatch, micro_batches


@dataclass(frozen=True)
class _Prepared:
    """A validation set cut into this rank's micro-batches."""

    name: str
    language: str
    batches: list[MicroBatch]
    tokens: int
    """Tokens with a loss, over all ranks."""
    bytes: int
    """UTF-8 bytes that they stand for."""


class Evaluator:
    """Evaluates an engine on every validation set. Sets are read once, at the start."""

    def __init__(self, config: Config, engine: Engine, tokenizer: Tokenizer) -> None:
        """Raises DataError for a validation shard that is missing, damaged or of another vocabulary."""
        self._engine = engine
        self._sets = [_prepare(found, config, engine, tokenizer) for found in validation_sets(config, tokenizer.sha256)]

    @property
    def names(self) -> list[str]:
        """Of all sets."""
        return [prepared.name for prepared in self._sets]

    def evaluate(self, step: int, tokens: int, pulse: Pulse = lambda: None) -> list[ValidationRecord]:
        """One record per set, the same on every rank. Collective."""
        records = []
        for prepared in self._sets:
            nats, counted = self._engine.evaluate(prepared.batches, pulse)
            assert counted == prepared.tokens, "every token is evaluated on exactly one rank"
            loss = nats / max(counted, 1)
            records.append(
                ValidationRecord(step, tokens, prepared.name, prepared.language, loss, counted, prepared.bytes)
            )
        return records


def validation_sets(config: Config, tokenizer_sha256: str | None = None) -> list[ValidationSet]:
    """The held-out shard of every source that has one, then those of evaluation.sources. Raises DataError."""
    found = []
    for name, source in config.data.sources.items():
        prefix = Path(source.validation or source.path + VALIDATION_SUFFIX)
        if source.validation or prefix.with_name(prefix.name + ".idx").exists():
            found.append(open_validation(name, source.language, prefix, tokenizer_sha256))
    for name, further in config.evaluation.sources.items():
        found.append(open_validation(name, further.language, Path(further.path), tokenizer_sha256))
    return found


def _prepare(found: ValidationSet, config: Config, engine: Engine, tokenizer: Tokenizer) -> _Prepared:
    topology, length = engine.topology, found.row_length(config.train.sequence_length)
    if length not in {config.train.sequence_length, *sequence_lengths(config)}:
        raise DataError(
            f"validation of '{found.name}': {found.shard.prefix} has rows of {length:,} tokens, which are read whole, "
            "and no phase has that sequence length. Regroup it to one of "
            f"{', '.join(map(str, sequence_lengths(config)))} tokens a row, or set a plain shard as its validation."
        )
    rows = found.rows(config.evaluation.tokens, length)
    vocabulary = config.model.vocabulary_size
    whole = read_rows(found, rows, length, config.data.mask, vocabulary)
    counted = whole.loss_mask_BS > 0
    mine = rows_of_rank(rows, topology.data_rank, topology.data_size, config.train.micro_batch_size)
    # megatron-core's interleaved schedule takes micro-batches in groups of as many as there are stages.
    mine += [[None] * config.train.micro_batch_size] * (-len(mine) % topology.pipeline_size)
    batches = [read_rows(found, group, length, config.data.mask, vocabulary) for group in mine]
    dtype: torch.dtype = parameter_dtype(config.train.precision)
    return _Prepared(
        name=found.name,
        language=found.language,
        batches=micro_batches(batches, config.data.mask, engine.device, topology, dtype),
        tokens=int(counted.sum()),
        bytes=int(tokenizer.token_bytes()[whole.labels_BS[counted]].sum()),
    )
