"""The page of cross-lingual packing: losses with and without English, of both models, over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from options import Options
from page import OUTCOME_HEAD, frozen_part, head, outcomes, predictions_part, spread, table, write_page
from record import Frozen, read_predictions
from running import FINISHED, began_at, losses

from megakor.report.plot import new_figure, save_figure, style_axes
from megakor.storage import make_directory

MASKS = {"document": "isolated", "xlda": "document"}
"""Model -> the mask of its training phase: inside documents, or inside the segments of rows, which are whole rows."""
SETS = {
    "after-own": "Korean after its English",
    "after-other": "Korean after another English text",
    "after-none": "the same Korean alone",
    "plain-korean": "plain Korean",
    "plain-english": "plain English",
}


def write_report(options: Options, frozen: Mapping[str, Frozen]) -> Path:
    """Tables and a picture of the seeds whose runs are both there; the others are left out."""
    homes = {seed: options.output / f"seed-{seed}" for seed in options.seeds}
    done = {seed: home for seed, home in homes.items() if all((home / mask / FINISHED).exists() for mask in MASKS)}
    found = read_predictions(options.output / "predictions.json")
    pictures = options.output / "report"
    make_directory(pictures)
    begun = min((began_at(home / mask) for home in done.values() for mask in MASKS), default=math.inf)
    parts = [
        head("Cross-lingual packing", list(done), options, begun),
        frozen_part(frozen),
        predictions_part({"all seeds": found}, {"all seeds": begun}),
    ]
    for seed, home in done.items():
        parts.append(f"### Seed {seed}\n\n" + table([OUTCOME_HEAD, *outcomes(found, differences(home))]))
    parts.append(_losses_part(list(done.values())))
    if done:
        _draw(list(done.values()), pictures / "crosslingual.png")
    return write_page(options, parts)


def differences(home: Path) -> dict[str, float]:
    """What one seed shows at the end of its runs, in nats a token; above 0 is in favour of XLDA, but for plain text."""
    xlda, document = (_last(home / mask) for mask in ("xlda", "document"))
    return {
        "XLDA: what its English takes off the loss on Korean": xlda["after-none"] - xlda["after-own"],
        "XLDA: what its English takes off beside another text": xlda["after-other"] - xlda["after-own"],
        "with its English, XLDA below document masks": document["after-own"] - xlda["after-own"],
        "XLDA with its English below document masks without": document["after-none"] - xlda["after-own"],
        "plain Korean, XLDA above document masks": xlda["plain-korean"] - document["plain-korean"],
        "plain English, XLDA above document masks": xlda["plain-english"] - document["plain-english"],
    }


def _last(run: Path) -> dict[str, float]:
    found = losses(run)
    return found[max(found)]


def _losses_part(homes: Sequence[Path]) -> str:
    """Final losses, mean and standard deviation over seeds."""
    rows = [["held-out text", "trained with document masks", "trained with XLDA", "XLDA minus document masks"]]
    ends = {mask: [_last(home / mask) for home in homes] for mask in MASKS}
    for name, words in SETS.items():
        document, xlda = ([end[name] for end in ends[mask]] for mask in MASKS)
        between = [two - one for one, two in zip(document, xlda, strict=True)]
        rows.append([words, spread(document), spread(xlda), spread(between)])
    return "## Losses at the end (nats a token)\n\n" + table(rows)


def _draw(homes: Sequence[Path], output: Path) -> None:
    """Losses on held-out Korean over tokens, all seeds."""
    figure = new_figure(10, 4)
    for axes, mask in zip(figure.subplots(1, 2, sharey=True), MASKS, strict=True):
        for name, colour in (("after-none", "tab:gray"), ("after-other", "tab:orange"), ("after-own", "tab:blue")):
            for number, home in enumerate(homes):
                curve = {tokens: found[name] for tokens, found in losses(home / mask).items() if tokens}
                label = SETS[name] if number == 0 else None
                axes.plot(list(curve), list(curve.values()), marker="o", markersize=3, color=colour, label=label)
        style_axes(axes, f"trained with {'XLDA' if mask == 'xlda' else 'document masks'}", "loss (nats per token)")
    save_figure(figure, output)
