"""The stability gaps of several runs as one picture: a panel for each series, a line for each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from megakor.report.gap import Curve, RunGaps
from megakor.report.gap_series import is_loss
from megakor.report.plot import new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3


def plot_gaps(runs: Sequence[RunGaps], output: Path) -> None:
    """Draw every series as its change from the first evaluation; what lies below the line is the gap.

    Raises ConfigError without matplotlib or for an unknown ending, StorageError when the picture cannot be written.
    """
    names = list(dict.fromkeys(series for run in runs for series in run.gaps))
    with_weights = [run for run in runs if run.bottom_over_top]
    panels = len(names) + bool(with_weights)
    columns = min(COLUMNS, panels)
    figure = new_figure(4.6 * columns, 3.4 * -(-panels // columns))
    axes = figure.subplots(-(-panels // columns), columns, squeeze=False).flatten()
    for place, series in zip(axes, names, strict=False):
        _draw_series(place, runs, series)
    if with_weights:
        _draw_weights(axes[len(names)], with_weights)
    for place in axes[panels:]:
        place.set_visible(False)
    save_figure(figure, output)


def _draw_series(axes: Axes, runs: Sequence[RunGaps], series: str) -> None:
    sign = -1 if is_loss(series) else 1
    axes.axhline(0.0, color="black", linewidth=0.8)
    for run in runs:
        curve = run.curves.get(series, [])
        if curve:
            _line(axes, [(tokens, sign * (score - curve[0][1])) for tokens, score in curve], run.name)
    better = "nats per token below the first" if is_loss(series) else "above the first"
    style_axes(axes, series, better)


def _draw_weights(axes: Axes, runs: Sequence[RunGaps]) -> None:
    axes.axhline(1.0, color="black", linewidth=0.8)
    for run in runs:
        _line(axes, run.bottom_over_top, run.name)
    style_axes(axes, "relative weight update", "lower layers over upper layers")


def _line(axes: Axes, curve: Curve, name: str) -> None:
    tokens, scores = zip(*curve, strict=True)
    axes.plot(tokens, scores, marker="o", markersize=3, linewidth=1.2, label=name)
