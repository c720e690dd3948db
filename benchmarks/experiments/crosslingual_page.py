"""The page of cross-lingual packing: losses with and without English, of all models, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from crosslingual_models import DOCUMENT, MODELS, ONE_LANGUAGE, SETS, XLDA, compared, last_losses
from options import Options
from page import spread, table, write_page
from page_of_seeds import beginning, finished_seeds
from record import Frozen

from megakor.report.plot import new_figure, save_figure, style_axes
from megakor.storage import make_directory

BAR = 0.25
"""Width, where models stand 1 apart."""


def write_report(options: Options, frozen: Mapping[str, Frozen]) -> Path:
    """Tables and a picture of the seeds whose runs are all there; the others are left out."""
    homes = finished_seeds(options, MODELS)
    parts = beginning("Cross-lingual packing", options, frozen, homes, compared)
    parts.append(_losses_part(list(homes.values())))
    pictures = options.output / "report"
    make_directory(pictures)
    if homes:
        _draw(list(homes.values()), pictures / "crosslingual.png")
    return write_page(options, parts)


def _losses_part(homes: Sequence[Path]) -> str:
    """Final losses, mean and standard deviation over seeds."""
    rows = [["held-out text", *MODELS.values(), "XLDA minus document masks", "XLDA minus rows of one language"]]
    ends = {model: [last_losses(home / model) for home in homes] for model in MODELS}
    for name, words in SETS.items():
        values = {model: [end[name] for end in ends[model]] for model in MODELS}
        between = [
            [two - one for one, two in zip(values[other], values[XLDA], strict=True)]
            for other in (DOCUMENT, ONE_LANGUAGE)
        ]
        rows.append([words, *map(spread, values.values()), *map(spread, between)])
    return "## Losses at the end (nats a token)\n\n" + table(rows)


def _draw(homes: Sequence[Path], output: Path) -> None:
    """Losses on held-out Korean at the end: a bar is the mean over seeds, a dot a seed."""
    figure = new_figure(9, 4)
    axes = figure.subplots(1, 1)
    colours = {"after-none": "tab:gray", "after-other": "tab:orange", "after-own": "tab:blue"}
    for shift, (name, colour) in enumerate(colours.items()):
        for place, model in enumerate(MODELS):
            values = [last_losses(home / model)[name] for home in homes]
            at = place + (shift - 1) * BAR
            axes.bar(at, mean(values), BAR, color=colour, alpha=0.6, label=SETS[name] if place == 0 else None)
            axes.plot([at] * len(values), values, "o", color=colour, markersize=4)
    ends = [last_losses(home / model)[name] for home in homes for model in MODELS for name in colours]
    axes.set_ylim(min(ends) - 0.1, max(ends) + 0.1)
    style_axes(axes, "held-out Korean at the end", "loss (nats per token)")
    axes.set_xticks(range(len(MODELS)), list(MODELS.values()))
    axes.set_xlabel("")
    save_figure(figure, output)
