"""The table of probes on the page of the stability gap: what the models can do, beside their losses."""

from __future__ import annotations

from collections.abc import Sequence

from page import spread, table

from megakor.curriculum.stability_gap import Gap
from megakor.report.gap import RunGaps

PROBES = {
    "general/english/probability": "English questions",
    "domain/korean/probability": "Korean questions",
    "copying/copying_gain": "copying (nats)",
}
"""Series in which more is better -> heading."""


def probes_part(seeds: Sequence[Sequence[RunGaps]]) -> str:
    """One row for each recipe, mean and standard deviation over seeds. `seeds` have the same recipes in one order."""
    rows = [["recipe", *(f"{words}: {what}" for words in PROBES.values() for what in ("depth", "change at the end"))]]
    for runs in zip(*seeds, strict=True):
        gaps = [[Gap.of_curve(run.curves[series], True) for run in runs] for series in PROBES]
        cells = [spread([value(gap) for gap in of_seeds], 3) for of_seeds in gaps for value in (_depth, _change)]
        rows.append([runs[0].name, *cells])
    return (
        "## The probes\n\nQuestions: the mean share of the right continuation among the likelihoods of four; 0.25 is "
        "guessing. Copying: how much lower the loss of random tokens is when they come again.\n\n" + table(rows)
    )


def _depth(gap: Gap) -> float:
    return gap.depth


def _change(gap: Gap) -> float:
    return gap.final_gain
