"""`megakor gap`: the stability gaps of finished or going runs, side by side, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.load import load_config
from megakor.config.phases import phases_of
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.curriculum.stability_gap import Gap
from megakor.errors import DataError
from megakor.report.gap_series import curves_of, groups_of, is_loss
from megakor.report.metrics import read_metrics, surviving
from megakor.text_table import aligned
from megakor.units import compact

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class RunGaps:
    """One run from the evaluation that its gaps are measured against."""

    name: str
    curves: dict[str, Curve]
    """Series -> (tokens, score)."""
    bottom_over_top: Curve
    """(tokens, how much more the lower layers have moved than the upper ones), where the run measured it."""

    @property
    def gaps(self) -> dict[str, Gap]:
        """Of every series that was measured at least twice."""
        return {
            series: Gap.of_curve(curve, not is_loss(series)) for series, curve in self.curves.items() if len(curve) > 1
        }


def read_gaps(run: Path, start: int | None = None) -> RunGaps:
    """The gaps of a run directory.

    Args:
        start: measure against the first evaluation at or after these tokens. Default: the start of the newest phase
            with an evaluation grid of its own, else of the run.

    Raises:
        DataError: it is no run, or was evaluated less than twice from there on.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise DataError(f"{path} is not there: {run} is not the directory of a run.")
    config = load_config(path)
    lines = surviving(read_metrics(run / "metrics.jsonl"))
    last = max((line["tokens"] for line in lines if line["kind"] == "validation"), default=0)
    first = _period(config, last) if start is None else start
    later = [line for line in lines if line.get("tokens", -1) >= first]
    curves = curves_of(later, groups_of(config))
    # Where a period begins, weights are still told as distances from the start of the one before.
    begun = min((curve[0][0] for curve in curves.values()), default=first)
    weights = [line for line in later if line["kind"] == "weights" and line["tokens"] > begun and line["ratio"]]
    found = RunGaps(run.resolve().name, curves, [(line["tokens"], line["ratio"]) for line in weights])
    if not found.gaps:
        raise DataError(
            f"{run / 'metrics.jsonl'}: less than two evaluations from {format_tokens(first)} tokens on, so there is "
            "nothing to compare. Set evaluation.every or evaluation.early, or give another --from."
        )
    return found


def _period(config: Config, tokens: int) -> int:
    return EvaluationGrid.compile(config, phases_of(config)).period_at(tokens)


def gap_table(runs: Sequence[RunGaps]) -> str:
    """One row for each series and run."""
    rows = [["series", "run", "first", "worst", "at", "depth", "length", "last", "final gain"]]
    for series in dict.fromkeys(series for run in runs for series in run.gaps):
        for run in runs:
            if series in run.gaps:
                rows.append([series, run.name, *_cells(run.gaps[series])])
    return "\n".join(aligned(rows, left=2))


def gap_json(runs: Sequence[RunGaps]) -> str:
    """The same for programs."""
    return json.dumps({run.name: {series: _fields(gap) for series, gap in run.gaps.items()} for run in runs}, indent=2)


def _fields(gap: Gap) -> dict[str, Any]:
    return {**gap.to_json(), "depth": gap.depth, "length": gap.length, "final_gain": gap.final_gain}


def _cells(gap: Gap) -> list[str]:
    length = "not recovered" if gap.length is None else "no dip" if gap.depth == 0 else compact(gap.length)
    worst = ["-", "-"] if gap.depth == 0 else [f"{gap.worst:.4f}", compact(gap.worst_tokens)]
    return [f"{gap.first:.4f}", *worst, f"{gap.depth:.4f}", length, f"{gap.last:.4f}", f"{gap.final_gain:+.4f}"]
