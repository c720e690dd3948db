"""The page of cross-lingual packing: losses with and without English, of all models, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crosslingual_models import DOCUMENT, MODELS, ONE_LANGUAGE, SETS, XLDA, compared, last_losses
from options import Options
from page import spread, table, write_page
from page_of_seeds import beginning, finished_seeds
from record import Frozen
from running import losses

from megakor.report.plot import new_figure, save_figure, style_axes
from megakor.storage import make_directory


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
    """Losses on held-out Korean over tokens, all seeds."""
    figure = new_figure(12, 4)
    for axes, (model, words) in zip(figure.subplots(1, len(MODELS), sharey=True), MODELS.items(), strict=True):
        for name, colour in (("after-none", "tab:gray"), ("after-other", "tab:orange"), ("after-own", "tab:blue")):
            for number, home in enumerate(homes):
                curve = {tokens: found[name] for tokens, found in losses(home / model).items() if tokens}
                label = SETS[name] if number == 0 else None
                axes.plot(list(curve), list(curve.values()), marker="o", markersize=3, color=colour, label=label)
        style_axes(axes, words, "loss (nats per token)")
    save_figure(figure, output)
