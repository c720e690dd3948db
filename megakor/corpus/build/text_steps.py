"""From the records of a reader to the documents that are encoded: normalised, filtered, split for validation."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from megakor.corpus.build.settings import HoldoutSettings, TextRules
from megakor.corpus.build.values import groups_by_kind, plain_column
from megakor.corpus.fields.expression import Expression
from megakor.corpus.holdout import without_sentences
from megakor.corpus.inputs.records import Records
from megakor.errors import ConfigError

TRAINING, VALIDATION = "training", "validation"
OF_ANOTHER_KIND = "a value of another kind than --where compares"


@dataclass
class Documents:
    """Documents of one role, in the order of the input; lists of equal length."""

    positions: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    metadata: dict[str, list[Any]] = field(default_factory=dict)

    def take(self, numbers: Collection[int]) -> Documents:
        """The documents with these numbers."""
        if len(numbers) == len(self.texts):
            return self
        return Documents(
            [self.positions[n] for n in numbers],
            [self.texts[n] for n in numbers],
            {name: [values[n] for n in numbers] for name, values in self.metadata.items()},
        )


@dataclass
class Losses:
    """What was left out, by reason, and what exclusive sentences took from held-out documents."""

    skipped: dict[str, int] = field(default_factory=dict)
    sentences_removed: int = 0
    documents_dropped: int = 0

    def skip(self, reason: str, count: int) -> None:
        """Count documents that are left out."""
        if count:
            self.skipped[reason] = self.skipped.get(reason, 0) + count


def kept_documents(records: Records, rules: TextRules, where: Expression | None, losses: Losses) -> Documents:
    """The documents that the rules keep, their text as it will be encoded."""
    documents = Documents(records.positions, records.texts, records.metadata)
    if rules.normalize:
        documents.texts = [unicodedata.normalize("NFC", text) for text in documents.texts]
    documents = _keep(
        documents, "empty", losses, [n for n, text in enumerate(documents.texts) if text and not text.isspace()]
    )
    if rules.minimum_characters:
        long = [n for n, text in enumerate(documents.texts) if len(text) >= rules.minimum_characters]
        documents = _keep(documents, "too short", losses, long)
    if (longest := rules.maximum_characters) is not None:
        short = [n for n, text in enumerate(documents.texts) if len(text) <= longest]
        documents = _keep(documents, "too long", losses, short)
    if where is not None and documents.texts:
        documents = _fitting(documents, where, losses)
    return documents


def _fitting(documents: Documents, where: Expression, losses: Losses) -> Documents:
    """The documents that fit. Values are compared by their own kind, whatever stands beside them: a text does not fit
    a comparison with a number, and is counted apart."""
    fields = {name: documents.metadata[name] for name in where.fields}
    fits: list[int] = []
    for kinds, rows in groups_by_kind(fields, len(documents.texts)).items():
        columns = {
            name: plain_column([values[row] for row in rows], kind)
            for (name, values), kind in zip(fields.items(), kinds, strict=True)
        }
        try:
            fitting = where.evaluate(pa.RecordBatch.from_pydict(columns))
        except ConfigError:
            losses.skip(OF_ANOTHER_KIND, len(rows))
            continue
        losses.skip("filtered", len(rows) - int(fitting.sum()))
        fits += [rows[number] for number in np.flatnonzero(fitting)]
    return documents.take(sorted(fits))


def by_role(
    documents: Documents, holdout: HoldoutSettings, shared: Collection[int], losses: Losses
) -> dict[str, Documents]:
    """Training and validation documents. `shared` holds hashes of sentences that validation text must not have."""
    if not holdout.rule.share:
        return {TRAINING: documents}
    held = [holdout.rule.holds(text) for text in documents.texts]
    validation = documents.take([n for n, out in enumerate(held) if out])
    if shared:
        validation = _without_shared(validation, holdout, shared, losses)
    return {TRAINING: documents.take([n for n, out in enumerate(held) if not out]), VALIDATION: validation}


def _without_shared(
    documents: Documents, holdout: HoldoutSettings, shared: Collection[int], losses: Losses
) -> Documents:
    kept: list[int] = []
    texts = list(documents.texts)
    for number, text in enumerate(documents.texts):
        texts[number], removed = without_sentences(text, shared)
        losses.sentences_removed += removed
        if removed and len(texts[number].strip()) < max(1, holdout.minimum_characters):
            losses.documents_dropped += 1
        else:
            kept.append(number)
    return Documents(documents.positions, texts, documents.metadata).take(kept)


def _keep(documents: Documents, reason: str, losses: Losses, numbers: list[int]) -> Documents:
    losses.skip(reason, len(documents.texts) - len(numbers))
    return documents.take(numbers)
