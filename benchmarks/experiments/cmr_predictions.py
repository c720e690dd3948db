"""What the laws of a sweep say of runs to come, and what these runs give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmr_runs import LEFT_OUT, Size
from record import Prediction
from running import losses
from scale import KI

from megakor.curriculum.cmr.across_ratios import fit_law_across
from megakor.curriculum.cmr.analysis import Analysis, analyse
from megakor.curriculum.cmr.critical import BELOW, Critical
from megakor.curriculum.cmr.measurements import Measurements
from megakor.curriculum.cmr.settings import Settings

ERROR = 0.01
"""The promise of the law: a ratio that was left out is predicted within this share of its loss."""
FARTHER, FARTHEST = 2.0, 0.9
"""A clearly larger ratio is the largest R* times this, and at most that."""
ROOM = 0.01
"""Nats. Where the tolerance is the limit the law puts R* at the tolerance itself, and half of all runs there would be
above it by noise alone: a tolerance counts as kept up to this much above, and as exceeded from there."""


def foresee(measurements: Measurements, size: Size, epsilon: float) -> tuple[list[Prediction], dict[str, Any]]:
    """What the laws say of the runs to come, and which runs these are."""
    analyses = [analyse(measurements, size.question(tokens, epsilon)) for tokens in size.budgets]
    critical = {str(one.tokens): _critical(one) for one in analyses}
    ratios = [ratio for ratio in critical.values() if ratio is not None]
    larger = round(min(max(ratios) * FARTHER, FARTHEST), 4) if ratios else None
    predictions = [found for one in analyses for found in _of_left_out(one, measurements, size.left_out)]
    for one in analyses:
        predictions += _of_tolerance(one, measurements, critical[str(one.tokens)], larger, epsilon)
    told = {str(one.tokens): _told(one) for one in analyses}
    return predictions, {"critical": critical, "larger": larger, "epsilon": epsilon, "intervals": told}


def _critical(analysis: Analysis) -> float | None:
    """R*, or the largest measured ratio where R* is at least that; None where no measured ratio is feasible."""
    found = analysis.critical
    return None if found is None or found.kind == BELOW else round(found.ratio, 4)


def _told(analysis: Analysis) -> dict[str, Any]:
    """What else there is to say of R*."""
    found, interval = analysis.critical, analysis.interval
    return {
        "kind": found.kind if found else None,
        "limit": found.limit if found else None,
        "interval": [interval.low, interval.high] if interval else None,
        "with the paper's lambda": next(map(_words, _with_weight(analysis, Settings().weight)), "none"),
    }


def _with_weight(analysis: Analysis, weight: float) -> list[Critical]:
    """R* for another lambda; empty where there is none."""
    asked = (analysis.settings.epsilon, weight)
    return [one.critical for one in analysis.sensitivity if (one.epsilon, one.weight) == asked and one.critical]


def _words(critical: Critical) -> str:
    return critical.words + (f" ({critical.limit})" if critical.limit else "")


def _of_left_out(analysis: Analysis, measurements: Measurements, ratio: float) -> list[Prediction]:
    """Both losses at the ratio that was left out, within the share that the law promises."""
    losses_there = {name: float(law.at(ratio)) for name, _, law in _laws(analysis, measurements)}
    return [
        Prediction(f"{name} loss at {ratio:g}, {_kilo(analysis.tokens)}", loss, loss * (1 - ERROR), loss * (1 + ERROR))
        for name, loss in losses_there.items()
    ]


def _laws(analysis: Analysis, measurements: Measurements) -> list[tuple[str, float, Any]]:
    """(name, loss of the base, law over ratios at the budget), for general and domain."""
    ratios = [one.curves.ratio for one in analysis.ratios]
    bases = (measurements.base_general, measurements.base_domain)
    return [
        (name, base, fit_law_across(ratios, across.losses, exclude_one=name == "general").law)
        for name, base, across in zip(("general", "domain"), bases, analysis.across, strict=True)
    ]


def _of_tolerance(
    analysis: Analysis, measurements: Measurements, critical: float | None, larger: float | None, epsilon: float
) -> list[Prediction]:
    """The change of the general loss: within the tolerance at R*, beyond it at the larger ratio."""
    (_, base, law), _ = _laws(analysis, measurements)
    limit, kilo, found = epsilon + ROOM, _kilo(analysis.tokens), []
    if critical is not None:
        found.append(Prediction(f"general change at R*, {kilo}", float(law.at(critical)) - base, high=limit))
    if larger is not None:
        found.append(Prediction(f"general change beyond R*, {kilo}", float(law.at(larger)) - base, low=limit))
    return found


def confirming(size: Size, plan: Mapping[str, Any]) -> list[tuple[str, float, int]]:
    """(directory, ratio, tokens) of the confirming runs."""
    runs = [("left-out", size.left_out, size.tokens)]
    for tokens, ratio in plan["critical"].items():
        if ratio is not None:
            runs.append((f"critical-{tokens}", ratio, int(tokens)))
    if plan["larger"] is not None:
        runs.append(("larger", plan["larger"], size.tokens))
    return runs


def measured(home: Path, budgets: Sequence[int], left_out: float = LEFT_OUT) -> dict[str, float]:
    """The numbers that the predictions of a seed speak of, as far as their runs are there."""
    found: dict[str, float] = {}
    for tokens in budgets:
        if at := _losses_at(home / "left-out", tokens):
            found[f"general loss at {left_out:g}, {_kilo(tokens)}"] = at["english"]
            found[f"domain loss at {left_out:g}, {_kilo(tokens)}"] = at["korean"]
        for name, words in ((f"critical-{tokens}", "at R*"), ("larger", "beyond R*")):
            if at := _losses_at(home / name, tokens):
                found[f"general change {words}, {_kilo(tokens)}"] = at["general change"]
    return found


def _losses_at(directory: Path, tokens: int) -> dict[str, float] | None:
    """Losses of the only run in a directory after that many tokens."""
    for run in directory.glob("ratio-*/metrics.jsonl"):
        found = losses(run.parent)
        if tokens in found:
            return {**found[tokens], "general change": found[tokens]["english"] - found[0]["english"]}
    return None


def _kilo(tokens: int) -> str:
    return f"{tokens / KI:.0f}Ki tokens"
