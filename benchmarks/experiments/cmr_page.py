"""The page of the critical mixture ratio: tables over seeds, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from cmr_predictions import measured
from cmr_runs import Size
from options import Options
from page import frozen_part, head, predictions_part, seed_part, spread, table, write_page
from record import Frozen, Predictions, read_predictions
from running import began_at, losses
from scale import KI

from megakor.curriculum.cmr.analysis import analyse
from megakor.curriculum.cmr.measurements import Measurements
from megakor.laws.cmr_plot import plot_analysis
from megakor.laws.sweep_runs import Roles, read_sweep
from megakor.report.plot import new_figure, save_figure, style_axes
from megakor.storage import make_directory

CONFIRMING = ("left-out", "critical-*", "larger")


def write_report(options: Options, frozen: Mapping[str, Frozen], size: Size) -> Path:
    """Tables and pictures of the seeds whose predictions are there; seeds without are named as not run."""
    homes = {seed: options.home(seed) for seed in options.seeds}
    found = {
        seed: read_predictions(home / "predictions.json")
        for seed, home in homes.items()
        if (home / "predictions.json").exists() and _begun(home) < math.inf
    }
    pictures = options.output / "report"
    make_directory(pictures)
    epsilon = frozen["sweep"].chosen["epsilon"]
    sweeps = {seed: read_sweep([homes[seed] / "sweep"], Roles((), ())) for seed in found}
    for seed in list(found)[:1]:
        plot_analysis(analyse(sweeps[seed], size.question(size.tokens, epsilon)), pictures / "cmr-fit.png")
    _draw_confirming({seed: homes[seed] for seed in found}, size, epsilon, pictures / "cmr-confirmed.png")
    names = {f"seed {seed}": one for seed, one in found.items()}
    begun = {f"seed {seed}": _begun(homes[seed]) for seed in found}
    parts = [
        head("The critical mixture ratio", list(found), options, min(begun.values(), default=math.inf)),
        frozen_part(frozen),
        predictions_part(names, begun),
        *(seed_part(seed, one, measured(homes[seed], size.budgets)) for seed, one in found.items()),
        _critical_part(found, size.budgets),
        _sweep_part(sweeps, size.budgets),
    ]
    return write_page(options, parts)


def _begun(home: Path) -> float:
    """When the first confirming run began; infinite where none has."""
    runs = [run.parent for name in CONFIRMING for run in home.glob(f"{name}/*/metrics.jsonl")]
    return min(map(began_at, runs), default=math.inf)


def _critical_part(found: Mapping[int, Predictions], budgets: Sequence[int]) -> str:
    rows = [["budget", *(f"seed {seed}" for seed in found), "over seeds"]]
    for tokens in map(str, budgets):
        ratios = [one.plan["critical"][tokens] for one in found.values()]
        known = [ratio for ratio in ratios if ratio is not None]
        cells = [_critical_words(one, tokens) for one in found.values()]
        rows.append([f"{int(tokens) // KI}Ki", *cells, spread(known, 3)])
        others = [one.plan["intervals"][tokens]["with the paper's lambda"] for one in found.values()]
        rows.append([f"{int(tokens) // KI}Ki, lambda 1000", *others, "-"])
    return "## R*, with the limit that is met first and the bootstrap's 95 % interval\n\n" + table(rows)


def _critical_words(found: Predictions, tokens: str) -> str:
    ratio, told = found.plan["critical"][tokens], found.plan["intervals"][tokens]
    if ratio is None:
        return "none"
    kind = "" if told["kind"] == "inside" else f"{told['kind']} "
    limit = f" ({told['limit']})" if told["limit"] else ""
    interval = f" [{told['interval'][0]:.3f}, {told['interval'][1]:.3f}]" if told["interval"] else ""
    return f"{kind}{ratio:.3f}{limit}{interval}"


def _sweep_part(sweeps: Mapping[int, Measurements], budgets: Sequence[int]) -> str:
    """Changes of both losses from the base, mean and standard deviation over seeds."""
    rows = [["ratio", *(f"{kind}, {tokens // KI}Ki" for tokens in budgets for kind in ("general", "domain"))]]
    ratios = sorted({ratio for one in sweeps.values() for ratio in one.ratios})
    for ratio in ratios:
        cells = []
        for tokens in budgets:
            runs = [run for one in sweeps.values() for run in one.runs if run.ratio == ratio and tokens in run.tokens]
            places = [run.tokens.index(tokens) for run in runs]
            cells.append(spread([run.general[at] - run.base_general for run, at in zip(runs, places, strict=True)]))
            cells.append(spread([run.domain[at] - run.base_domain for run, at in zip(runs, places, strict=True)]))
        rows.append([f"{ratio:g}", *cells])
    return "## The sweep: change of loss from the base (nats a token)\n\n" + table(rows)


def _draw_confirming(homes: Mapping[int, Path], size: Size, epsilon: float, output: Path) -> None:
    """The general loss of the runs at R* (of the smaller budget dashed) and beyond, with the tolerance."""
    figure = new_figure(9, 4)
    axes = figure.subplots(1, 1)
    colours = {"critical-*": "tab:blue", "larger": "tab:red"}
    for name, colour in colours.items():
        for run in sorted(run.parent for home in homes.values() for run in home.glob(f"{name}/ratio-*/metrics.jsonl")):
            curve = {tokens: found["english"] for tokens, found in losses(run).items()}
            label = f"{run.parents[1].name}: {'R*' if name != 'larger' else 'beyond R*'} = {run.name.split('-')[1]}"
            style = "--" if run.parent.name == f"critical-{size.budgets[0]}" else "-"
            axes.plot(list(curve), [loss - curve[0] for loss in curve.values()], style, color=colour, label=label)
    axes.axhline(epsilon, color="black", linewidth=1, label=f"tolerance {epsilon:g}")
    style_axes(axes, "general loss at R* and beyond it", "change from the base (nats)")
    axes.legend(fontsize=7, ncols=2)
    save_figure(figure, output)
