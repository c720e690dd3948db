"""The page of the stability gap: how much of the dip each strategy takes, and at which final loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from gap_probes import probes_part
from options import Options
from page import spread, table, write_page
from page_of_seeds import beginning, finished_seeds
from record import Frozen
from scale import KI

from megakor.curriculum.stability_gap import Gap
from megakor.report.gap import Curve, RunGaps, gap_table, read_gaps
from megakor.report.gap_plot import plot_gaps
from megakor.report.gap_series import is_loss
from megakor.storage import make_directory

STRATEGIES = ("plain", "subset_epochs", "best_subset", "pretraining_mixture", "stability_gap")
"""Fragments of configs/curriculum/; the last one is all three strategies."""
GENERAL, DOMAIN = "general loss", "domain loss"
SERIES = {GENERAL: "general/loss", DOMAIN: "domain/loss"}


def write_report(options: Options, frozen: Mapping[str, Frozen]) -> Path:
    """Tables and pictures of the seeds whose runs are all there; the others are left out."""
    homes = finished_seeds(options, STRATEGIES)
    runs = {seed: [read_gaps(home / name) for name in STRATEGIES] for seed, home in homes.items()}
    parts = beginning("The stability gap", options, frozen, homes, lambda home: _measured(dips(home)))
    parts.append(_strategies_part([dips(home) for home in homes.values()]))
    parts.append(probes_part(list(runs.values())))
    pictures = options.output / "report"
    make_directory(pictures)
    for seed, first in list(runs.items())[:1]:
        parts.append(f"## All series of seed {seed} (`megakor gap`)\n\n```\n{gap_table(first)}\n```")
        plot_gaps([_shown(run) for run in first], pictures / "stability-gap.png")
    return write_page(options, parts)


def dips(home: Path) -> dict[str, dict[str, float]]:
    """Strategy -> what its run of one seed shows.

    depth: of the general loss, over the whole run. gone: the share of the plain recipe's depth that it does not have,
    both over the tokens that all runs have. gone in all: the same, each over its whole run. end: the general loss at
    the end, above the base's. domain: the domain loss at the end. domain depth, tokens.
    """
    runs = {name: read_gaps(home / name) for name in STRATEGIES}
    common = set.intersection(*({tokens for tokens, _ in run.curves[SERIES[GENERAL]]} for run in runs.values()))
    reached = max(common)
    depths = {name: _gap(run, GENERAL, reached).depth for name, run in runs.items()}
    whole = {name: _gap(run, GENERAL).depth for name, run in runs.items()}
    found = {}
    for name, run in runs.items():
        domain = _gap(run, DOMAIN)
        found[name] = {
            "depth": whole[name],
            "equal depth": depths[name],
            "gone": 1 - depths[name] / depths["plain"] if depths["plain"] else 0.0,
            "gone in all": 1 - whole[name] / whole["plain"] if whole["plain"] else 0.0,
            "end": -_gap(run, GENERAL).final_gain,
            "domain": domain.last,
            "domain depth": domain.depth,
            "tokens": domain.last_tokens,
            "reached": reached,
        }
    return found


def _gap(run: RunGaps, kind: str, tokens: float = math.inf) -> Gap:
    """Of the losses of general or domain text up to some tokens."""
    series = SERIES[kind]
    return Gap.of_curve([point for point in run.curves[series] if point[0] <= tokens], not is_loss(series))


def _measured(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """By the keys of the predictions."""
    plain = found["plain"]
    numbers = {
        f"{GENERAL}, plain: depth of the dip": plain["depth"],
        f"{GENERAL}, plain: at the end, above the base": plain["end"],
        f"{DOMAIN}, plain: depth of the dip": plain["domain depth"],
    }
    for name in STRATEGIES[1:]:
        numbers[f"{GENERAL}, {name}: share of the dip that goes"] = found[name]["gone"]
        numbers[f"{DOMAIN}, {name}: at the end, above plain"] = found[name]["domain"] - plain["domain"]
    return numbers


def _strategies_part(seeds: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """One row for each strategy, mean and standard deviation over seeds."""
    rows = [["recipe", "tokens", "depth (nats)", "gone at equal tokens", "gone in all", "general at the end", "domain"]]
    for name in STRATEGIES if seeds else ():
        values = [found[name] for found in seeds]

        def over(key: str, values: Sequence[Mapping[str, float]] = values) -> str:
            return spread([one[key] for one in values], 3)

        tokens = f"{mean(one['tokens'] for one in values) / KI:.0f}Ki"
        rows.append([name, tokens, over("depth"), over("gone"), over("gone in all"), over("end"), over("domain")])
    reached = f"{seeds[0]['plain']['reached'] / KI:.0f}Ki" if seeds else "-"
    return (
        "## The strategies\n\nDepth: how far the general loss rises above the base's. Gone: the share of the plain "
        f"recipe's depth that is not there, over the first {reached} tokens, and each over its whole run. General at "
        "the end: above the base's. Domain: the domain loss at the end.\n\n" + table(rows)
    )


def _shown(run: RunGaps) -> RunGaps:
    """What the picture has room for: losses, probabilities and the gain of copying."""

    def wanted(series: str) -> bool:
        return is_loss(series) or series.endswith(("probability", "copying_gain"))

    curves: dict[str, Curve] = {series: curve for series, curve in run.curves.items() if wanted(series)}
    return RunGaps(run.name, curves, run.bottom_over_top)
