"""The picture of a fit. Needs matplotlib, which the extra `plot` names."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from megakor.curriculum.cmr.analysis import AcrossResult, Analysis, RatioResult
from megakor.curriculum.cmr.critical import INSIDE
from megakor.errors import ConfigError
from megakor.storage import storage_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVE_POINTS = 200


def plot_analysis(analysis: Analysis, output: Path) -> None:
    """Draw it into `output`, whose ending chooses the format.

    Raises ConfigError without matplotlib or for an unknown ending, StorageError when it cannot be written.
    """
    figure = draw(analysis)
    try:
        with storage_errors(output):
            figure.savefig(output, dpi=150)
    except ValueError as error:
        raise ConfigError(f"{output}: {error}. Choose another ending for --plot.") from error


def png(analysis: Analysis) -> bytes:
    """The picture as a PNG. Raises ConfigError without matplotlib."""
    buffer = io.BytesIO()
    draw(analysis).savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def draw(analysis: Analysis) -> Figure:
    """Losses over tokens (above), losses over ratios and R* over budgets (below). Raises ConfigError."""
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("Plots need matplotlib, which is not installed. Run: pip install matplotlib") from error
    figure = Figure(figsize=(15, 8), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(analysis.ratios)))
    _over_tokens(figure.add_subplot(grid[0, :3]), analysis, colours, "general")
    _over_tokens(figure.add_subplot(grid[0, 3:]), analysis, colours, "domain")
    for place, one in zip((grid[1, :2], grid[1, 2:4]), analysis.across, strict=True):
        _over_ratios(figure.add_subplot(place), one, [ratio.curves.ratio for ratio in analysis.ratios])
    _over_budgets(figure.add_subplot(grid[1, 4:]), analysis)
    return figure


def _over_tokens(axes: Axes, analysis: Analysis, colours: Any, kind: str) -> None:
    for one, colour in zip(analysis.ratios, colours, strict=True):
        _draw_ratio(axes, one, analysis, colour, kind)
    if kind == "general":
        axes.axhline(analysis.settings.epsilon, color="crimson", linestyle="--", linewidth=1, label="tolerance")
    axes.axvline(analysis.tokens, color="grey", linestyle=":", linewidth=1)
    axes.set_title(f"{kind} loss (line: law over tokens; triangle: T0)" if kind == "general" else f"{kind} loss")
    axes.set_xlabel("tokens")
    axes.set_ylabel("change from the base (nats)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_ratio(axes: Axes, one: RatioResult, analysis: Analysis, colour: Any, kind: str) -> None:
    series = one.curves.series
    losses = series.general if kind == "general" else series.domain
    axes.plot(series.tokens, losses, ".", color=colour, markersize=4, label=f"R = {series.ratio:.3g}")
    law = one.curves.general_law if kind == "general" else one.curves.domain_law
    if law is None:
        return
    tokens = np.linspace(series.first, max(series.last, analysis.tokens), _CURVE_POINTS)
    axes.plot(tokens, law.at(tokens), color=colour, linewidth=1.2)
    turning = one.curves.turning(analysis.settings.weight, analysis.settings.reach)
    if kind == "general" and turning and 0 < turning.tokens <= tokens[-1]:
        axes.plot([turning.tokens], [float(law.at(turning.tokens))], "v", color=colour, markersize=9)


def _over_ratios(axes: Axes, one: AcrossResult, ratios: list[float]) -> None:
    if one.losses:
        axes.plot(ratios, one.losses, "o", color="black")
    if one.fit is not None:
        line = np.linspace(min(ratios), max(ratios), _CURVE_POINTS)
        axes.plot(line, one.fit.law.at(line), linewidth=1.2)
    for held in one.held_out:
        axes.plot([held.ratio], [held.predicted], "x", color="crimson")
    axes.set_title(f"{one.name} at the budget (cross: predicted from the others)", fontsize=10)
    axes.set_xlabel("R: share of domain tokens")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)


def _over_budgets(axes: Axes, analysis: Analysis) -> None:
    inside = [
        (one.tokens, one.critical.ratio)
        for one in analysis.by_budget
        if one.critical is not None and one.critical.kind == INSIDE
    ]
    if inside:
        axes.plot(*zip(*inside, strict=True), "o", color="black")
    if analysis.budget_law is not None:
        tokens = np.linspace(inside[0][0], inside[-1][0], _CURVE_POINTS)
        axes.plot(tokens, analysis.budget_law.law.at(tokens), linewidth=1.2)
    ratios = [one.curves.ratio for one in analysis.ratios]
    if analysis.usable is not None and analysis.interval is not None:
        low, high = (min(max(end, 0.0), 1.0) for end in (analysis.interval.low, analysis.interval.high))
        axes.plot([analysis.tokens] * 2, [low, high], color="crimson", linewidth=3, alpha=0.5, label="interval")
        axes.legend(fontsize=8)
    axes.set_ylim(0, math.ceil(10 * max(ratios)) / 10)
    axes.set_title("R* by budget" if inside else "R*: between no measured ratios", fontsize=10)
    axes.set_xlabel("tokens")
    axes.grid(alpha=0.3)
