"""The series whose stability gap is measured: losses and probe scores, of general text and of the domain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from megakor.config.schema import Config, EvaluationSourceConfig
from megakor.config.schema_data import SourceConfig
from megakor.curriculum.stability_gap import Gap
from megakor.report.measures import GapRecord, ProbeRecord
from megakor.report.metrics import Line
from megakor.report.records import ValidationRecord

CONVENTIONAL = ("domain", "general")
"""Tags of sources that make a group. A source with neither belongs to the group of its language."""


def groups_of(config: Config) -> dict[str, str]:
    """Validation source -> "domain", "general" or its language."""
    sources: list[tuple[str, SourceConfig | EvaluationSourceConfig]] = [
        *config.data.sources.items(),
        *config.evaluation.sources.items(),
    ]
    return {
        name: next((tag for tag in CONVENTIONAL if tag in source.tags), source.language) for name, source in sources
    }


def scores_at(
    validation: Iterable[ValidationRecord], probes: Iterable[ProbeRecord], groups: Mapping[str, str]
) -> dict[str, float]:
    """Series -> score at one evaluation: losses are means over tokens, scores of probes means over items.

    A series is called GROUP/loss or GROUP/PROBE/SCORE; the group of a probe is its domain, else its language. Losses
    inside a probe are left out, and what is no number.
    """
    parts: dict[str, list[tuple[float, int]]] = {}
    for record in validation:
        group = groups.get(record.source, record.language)
        parts.setdefault(f"{group}/loss", []).append((record.loss, record.evaluated_tokens))
    for probe in probes:
        place = "/".join(part for part in (probe.domain or probe.language, probe.probe) if part)
        for name, score in probe.scores.items():
            if not is_loss(name):
                parts.setdefault(f"{place}/{name}", []).append((score, probe.items))
    means = {series: _mean(scores) for series, scores in parts.items()}
    return {series: score for series, score in means.items() if math.isfinite(score)}


def is_loss(series: str) -> bool:
    """Whether lower is better."""
    return series.endswith("loss")


def curves_of(lines: Iterable[Line], groups: Mapping[str, str]) -> dict[str, list[tuple[int, float]]]:
    """Series -> (tokens, score) by rising tokens, from the surviving lines of metrics.jsonl."""
    validation: dict[int, list[ValidationRecord]] = {}
    probes: dict[int, list[ProbeRecord]] = {}
    for line in lines:
        if line["kind"] == "validation":
            validation.setdefault(line["tokens"], []).append(ValidationRecord.from_line(line))
        elif line["kind"] == "probe":
            probes.setdefault(line["tokens"], []).append(ProbeRecord.from_line(line))
    curves: dict[str, list[tuple[int, float]]] = {}
    for tokens in sorted(validation.keys() | probes.keys()):
        for series, score in scores_at(validation.get(tokens, []), probes.get(tokens, []), groups).items():
            curves.setdefault(series, []).append((tokens, score))
    return curves


@dataclass
class GapTracker:
    """The gaps of a run that is going on. Its state is small and belongs into the checkpoint."""

    groups: Mapping[str, str]
    gaps: dict[str, Gap] = field(default_factory=dict)

    def add(
        self, tokens: int, validation: Sequence[ValidationRecord], probes: Sequence[ProbeRecord]
    ) -> list[GapRecord]:
        """Take in one evaluation. What it gives is for all series, as far as the run has come."""
        for series, score in scores_at(validation, probes, self.groups).items():
            known = self.gaps.get(series)
            self.gaps[series] = (
                Gap.begin(tokens, score, not is_loss(series)) if known is None else known.after(tokens, score)
            )
        return self.records(tokens, final=False)

    def records(self, tokens: int, final: bool) -> list[GapRecord]:
        """One for each series that has been measured more than once."""
        return [
            GapRecord(tokens, series, gap, final)
            for series, gap in self.gaps.items()
            if gap.last_tokens > gap.first_tokens
        ]

    def begin(self) -> None:
        """Measure from the next evaluation on."""
        self.gaps = {}

    def state_dict(self) -> dict[str, Any]:
        """JSON-able and exact."""
        return {series: gap.to_json() for series, gap in self.gaps.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.gaps = {series: Gap.from_json(fields) for series, fields in state.items()}


def _mean(scores: Sequence[tuple[float, int]]) -> float:
    if len(scores) == 1:
        return scores[0][0]
    return sum(score * weight for score, weight in scores) / max(1, sum(weight for _, weight in scores))
