"""R_CMR(T) = alpha4 T^s4 + beta3: the critical ratio as a law of the token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from megakor.curriculum.cmr.critical import INSIDE, Critical, Question, critical_ratio
from megakor.curriculum.cmr.curves import RatioCurves
from megakor.curriculum.cmr.goodness import CannotFitError
from megakor.curriculum.cmr.power_law import PowerFit, PowerFitter

BUDGETS = 12
LEAST_BUDGETS = 5


@dataclass(frozen=True)
class AtBudget:
    """R* for one budget; `critical` is None where it cannot be told."""

    tokens: float
    critical: Critical | None


def over_budgets(curves: Sequence[RatioCurves], question: Question) -> list[AtBudget]:
    """R* for budgets from the first tokens that all ratios share up to the one that is asked for."""
    first = max(one.series.first for one in curves)
    budgets = np.geomspace(first, question.tokens, BUDGETS) if question.tokens > first else [question.tokens]
    return [AtBudget(float(tokens), _at(curves, replace(question, tokens=float(tokens)))) for tokens in budgets]


def _at(curves: Sequence[RatioCurves], question: Question) -> Critical | None:
    try:
        return critical_ratio(curves, question)
    except CannotFitError:
        return None


def fit_budget_law(found: Sequence[AtBudget]) -> PowerFit:
    """The law through the budgets whose R* lies between measured ratios. Raises CannotFitError for fewer than five."""
    inside = [(one.tokens, one.critical.ratio) for one in found if one.critical and one.critical.kind == INSIDE]
    if len({ratio for _, ratio in inside}) < LEAST_BUDGETS:
        raise CannotFitError(
            f"R* lies between measured ratios for {len(inside)} of {len(found)} budgets; a law of the budget needs "
            f"{LEAST_BUDGETS}"
        )
    tokens, ratios = (np.array(values) for values in zip(*inside, strict=True))
    return PowerFitter(tokens).fit(ratios)
