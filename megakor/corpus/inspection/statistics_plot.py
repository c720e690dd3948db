"""Statistics of shards as one picture. Needs matplotlib, which the extra `plot` names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from megakor.corpus.inspection.lengths import histogram
from megakor.corpus.inspection.statistics import Statistics, together
from megakor.corpus.manifest import Count
from megakor.errors import ConfigError
from megakor.storage import storage_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 12
_DOCUMENTS, _TOKENS = "#4c78a8", "#f58518"
_KOREAN_FONTS = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "UnDotum")


def plot_statistics(statistics: Statistics, output: Path) -> None:
    """Draw lengths (above) and the shares of each field (below) into `output`, whose ending chooses the format.

    Raises ConfigError without matplotlib or for an unknown ending, StorageError when the picture cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("Plots need matplotlib, which is not installed. Run: pip install matplotlib") from error
    columns = len(statistics.groups)
    with matplotlib.rc_context({"font.family": _fonts(), "font.size": 9}):
        figure = Figure(figsize=(max(11.0, 5.5 * columns), 8), layout="constrained")
        grid = figure.add_gridspec(2, columns, height_ratios=(3, 2))
        total = statistics.total
        figure.suptitle(_title(statistics, total), fontsize=12, fontweight="bold")
        _draw_lengths(figure.add_subplot(grid[0, :]), statistics)
        for column, (name, counts) in enumerate(statistics.groups.items()):
            _draw_shares(figure.add_subplot(grid[1, column]), name, counts, total)
        try:
            with storage_errors(output), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing")  # Hangul on a machine without such a font
                figure.savefig(output, dpi=150)
        except ValueError as error:
            raise ConfigError(f"{output}: {error}. Choose another ending for --plot.") from error


def _fonts() -> list[str]:
    """The usual font, and one with Hangul if this machine has any."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _KOREAN_FONTS if name in installed)]


def _title(statistics: Statistics, total: Count) -> str:
    names = [prefix.name for prefix in statistics.shards]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")
    text = "" if total.text_bytes is None else f", {total.text_bytes / 1e6:,.1f} MB of text"
    return f"{shown}: {total.documents:,} {statistics.noun}, {total.tokens:,} tokens{text}"


def _draw_lengths(axes: Axes, statistics: Statistics) -> None:
    edges, documents, tokens = histogram(*statistics.lengths.table())
    axes.stairs(100 * documents, edges, fill=True, alpha=0.55, color=_DOCUMENTS, label="documents")
    axes.stairs(100 * tokens, edges, linewidth=1.8, color=_TOKENS, label="tokens")
    for quantile, label in zip(statistics.lengths.quantiles([0.5, 0.95]), ("half", "95 %"), strict=False):
        if quantile > 0:
            axes.axvline(quantile, color=_DOCUMENTS, linewidth=1, linestyle=":")
            axes.annotate(
                f"{label} of the documents: {quantile:,} or less",
                xy=(quantile, 0.97),
                xycoords=("data", "axes fraction"),
                rotation=90,
                fontsize=8,
                horizontalalignment="center",
                verticalalignment="top",
                color=_DOCUMENTS,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="length of a document in tokens", ylabel="share in %", title="Lengths")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_shares(axes: Axes, name: str, counts: dict[str, Count], total: Count) -> None:
    shown = list(counts.items())[:_BARS]
    if rest := list(counts.values())[_BARS:]:
        shown.append((f"({len(rest):,} others)", together(rest)))
    labels = [_shortened(value or "(unknown)") for value, _ in shown]
    places = range(len(shown))
    for offset, colour, label, parts in (
        (-0.2, _DOCUMENTS, "documents", [count.documents / max(1, total.documents) for _, count in shown]),
        (0.2, _TOKENS, "tokens", [count.tokens / max(1, total.tokens) for _, count in shown]),
    ):
        bars = axes.barh([place + offset for place in places], [100 * part for part in parts], 0.38, color=colour)
        axes.bar_label(bars, [f"{100 * part:.1f}" for part in parts], padding=2, fontsize=7)
        bars.set_label(label)
    axes.set_yticks(list(places), labels)
    axes.set_ylim(max(len(shown), 4) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set(title=f"By {name}", xlabel="share in %")
    axes.spines[["top", "right"]].set_visible(False)


def _shortened(label: str, characters: int = 32) -> str:
    """The end of a long name tells more than its beginning: names of files."""
    return label if len(label) <= characters else "..." + label[3 - characters :]
