"""The file of a fit: R*, the measurements it comes from, and everything that is needed to judge it, in JSON.

Numbers that are not finite (an R* or a T0 beyond what was measured) are written as null beside a word.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megakor.curriculum.cmr.analysis import AcrossResult, Analysis, RatioResult, Sensitivity
from megakor.curriculum.cmr.bootstrap import Interval
from megakor.curriculum.cmr.budget_law import AtBudget
from megakor.curriculum.cmr.critical import Critical
from megakor.curriculum.cmr.goodness import Goodness
from megakor.curriculum.cmr.measurements import Measurements, measurements_of, read_json
from megakor.curriculum.cmr.power_law import PowerFit
from megakor.curriculum.cmr.settings import Settings
from megakor.curriculum.cmr.two_term_law import TwoTermFit
from megakor.curriculum.cmr.verdict import why_unusable
from megakor.errors import DataError
from megakor.storage import write_text

FORMAT = "megakor-cmr-fitted-1"


@dataclass(frozen=True)
class FittedFile:
    """What plans need of a fit."""

    tokens: int
    """The budget that R* holds for."""
    ratio: float | None
    """R*, or the largest measured ratio where all are feasible; None where the measurements determine none."""
    low: float | None
    """Lower end of its interval; None where there is none, or it lies below everything measured."""
    reason: str
    """Why there is no ratio."""
    settings: Settings
    measurements: Measurements


def write_fitted(analysis: Analysis, path: Path) -> None:
    """Writes the file. Raises StorageError."""
    write_text(path, json.dumps(fitted_record(analysis), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_fitted(path: Path) -> FittedFile:
    """Raises DataError for a file that `write_fitted` has not written."""
    content = read_json(path, "a fitted file")
    if content.get("format") != FORMAT:
        raise DataError(
            f'{path}: "format" is {content.get("format")!r}, and not "{FORMAT}". Run megakor cmr fit first.'
        )
    try:
        return FittedFile(
            tokens=int(content["tokens"]),
            ratio=None if content["R_star"] is None else float(content["R_star"]),
            low=_low(content["interval"]),
            reason=str(content["reason"]),
            settings=Settings(**content["settings"]),
            measurements=measurements_of(content["measurements"], str(path)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a file that megakor cmr fit has written ({error!r}).") from error


def _low(interval: dict[str, Any] | None) -> float | None:
    return None if interval is None or interval["low"] is None else float(interval["low"])


def fitted_record(analysis: Analysis) -> dict[str, Any]:
    """The content of the file."""
    critical = analysis.critical
    return {
        "format": FORMAT,
        "R_star": analysis.usable,
        "kind": critical.kind if critical else None,
        "limit": critical.limit if critical else None,
        "reason": why_unusable(analysis),
        "interval": _interval(analysis.interval),
        "tokens": analysis.tokens,
        "extrapolated": analysis.extrapolated,
        "settings": asdict(analysis.settings),
        "base": {"general": analysis.measurements.base_general, "domain": analysis.measurements.base_domain},
        "ratios": [_ratio(one, index, analysis) for index, one in enumerate(analysis.ratios)],
        "over_ratios": {one.name.split()[0]: _across(one) for one in analysis.across},
        "over_budgets": [_budget(one) for one in analysis.by_budget],
        "budget_law": analysis.budget_law and _power(analysis.budget_law, analysis.settings.unit),
        "sensitivity": [_sensitivity(one) for one in analysis.sensitivity],
        "bootstrap": {
            "failed": _number(analysis.failed),
            "run_noise": asdict(analysis.noise) if analysis.noise else None,
        },
        "notes": [*analysis.reasons, *(critical.notes if critical else ())],
        "measurements": analysis.measurements.as_json(),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"low": _number(interval.low), "high": _number(interval.high), "level": interval.level}


def _goodness(goodness: Goodness) -> dict[str, Any]:
    fields = {key: _number(value) if isinstance(value, float) else value for key, value in asdict(goodness).items()}
    return {**fields, "ill_conditioned": goodness.ill_conditioned}


def _power(fit: PowerFit, unit: float) -> dict[str, Any]:
    """Constants only where they are determined; the curve always."""
    alpha, s, beta = fit.law.alpha_s_beta(unit)
    constants = None if fit.goodness.ill_conditioned else {"alpha": alpha, "s": s, "beta": beta, "unit": unit}
    return {"constants": constants, "curve": asdict(fit.law), **_goodness(fit.goodness)}


def _two_terms(fit: TwoTermFit, unit: float) -> dict[str, Any]:
    constants = None
    if not fit.goodness.ill_conditioned:
        a, s, b, t, beta = fit.law.constants(unit)
        constants = {"alpha2": a, "s2": s, "alpha3": b, "s3": t, "beta2": beta, "unit": unit}
    return {"constants": constants, "curve": asdict(fit.law), **_goodness(fit.goodness)}


def _ratio(one: RatioResult, index: int, analysis: Analysis) -> dict[str, Any]:
    unit = analysis.settings.unit
    record: dict[str, Any] = {
        "ratio": one.curves.ratio,
        "runs": len(one.curves.series.lengths),
        "domain_curve": one.domain and _power(one.domain, unit),
        "general_curve": one.general and _two_terms(one.general, unit),
        "reasons": list(one.reasons),
    }
    if analysis.critical is None:
        return record
    judged = analysis.critical.judged[index]
    turning = judged.turning and {
        "tokens": _number(judged.turning.tokens),
        "words": judged.turning.words,
        "extrapolated": judged.turning.extrapolated,
        "interval": _interval(one.turning),
    }
    return record | {
        "general_change": judged.general,
        "general_change_by_law": judged.expected,
        "general_change_interval": _interval(one.general_change),
        "domain_change": judged.domain,
        "T0": turning,
        "tolerable": judged.tolerable,
        "turned": judged.turned,
        "feasible": judged.feasible,
    }


def _across(one: AcrossResult) -> dict[str, Any]:
    return {
        "losses": list(one.losses),
        "law": one.fit and _power(one.fit, 1.0),
        "held_out": [{**asdict(held), "error": held.error} for held in one.held_out],
        "reasons": list(one.reasons),
    }


def _critical(critical: Critical | None) -> dict[str, Any]:
    if critical is None:
        return {"kind": None, "ratio": None, "limit": None}
    return {"kind": critical.kind, "ratio": critical.ratio, "limit": critical.limit}


def _budget(one: AtBudget) -> dict[str, Any]:
    return {"tokens": one.tokens, **_critical(one.critical)}


def _sensitivity(one: Sensitivity) -> dict[str, Any]:
    return {"epsilon": one.epsilon, "lambda": one.weight, **_critical(one.critical)}
