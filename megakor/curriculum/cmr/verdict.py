"""What a fit says, in a sentence."""

from __future__ import annotations

import math

from megakor.curriculum.cmr.analysis import Analysis
from megakor.curriculum.cmr.bootstrap import MOST_FAILURES, Interval
from megakor.curriculum.cmr.critical import AT_LEAST, BELOW, TOLERANCE


def interval_words(interval: Interval | None, digits: str = ".3f") -> str:
    """[low, high], where an end beyond the measurements is said to be so."""
    if interval is None:
        return "no interval"
    if math.isinf(interval.low) and math.isinf(interval.high):
        return "everything measured: undetermined"
    low = "below the measured" if math.isinf(interval.low) else f"{interval.low:{digits}}"
    high = "beyond the measured" if math.isinf(interval.high) else f"{interval.high:{digits}}"
    return f"{low} to {high}"


def why_unusable(analysis: Analysis) -> str:
    """Why there is no ratio to train with; empty where there is one."""
    critical = analysis.critical
    if critical is None:
        return " ".join(analysis.reasons)
    if critical.kind == BELOW:
        what = (
            f"the general loss rises by more than {analysis.settings.epsilon:g} nats"
            if critical.limit == TOLERANCE
            else "the trade of general for domain loss has not turned for the better by the end of the budget (T0 > T)"
        )
        return (
            f"no measured ratio is feasible: at the smallest one, {critical.ratio:g}, {what}. Measure smaller ratios, "
            "allow a larger epsilon, or plan a longer budget."
        )
    if analysis.undetermined:
        return (
            "the interval of R* spans everything measured: these runs do not determine it. Repeat ratios with other "
            "seeds, evaluate on more text, or train longer."
        )
    return ""


def verdict(analysis: Analysis) -> str:
    """The answer with its uncertainty, or why there is none."""
    if reason := why_unusable(analysis):
        return f"No ratio can be recommended: {reason}"
    critical = analysis.critical
    assert critical is not None, "why_unusable has said so"
    if critical.kind == AT_LEAST:
        text = f"All ratios that were measured are feasible up to {critical.ratio:g}, the largest: R* is at least that."
    else:
        text = f"R* = {critical.ratio:.3f} of the tokens from the domain; the first limit is the {critical.limit}."
    return " ".join([text, *_reservations(analysis)])


def _reservations(analysis: Analysis) -> list[str]:
    said = []
    if analysis.interval is not None:
        said.append(f"{analysis.interval.level:.0%} interval: {interval_words(analysis.interval)}.")
    elif not math.isnan(analysis.failed) and analysis.failed > MOST_FAILURES:
        said.append(f"No interval: {analysis.failed:.0%} of the resampled sweeps have no answer; do not rely on it.")
    if analysis.interval is not None and analysis.noise is None:
        said.append(
            "The interval holds the noise inside each curve only; repeat ratios with other seeds for that between runs."
        )
    if analysis.extrapolated:
        times = analysis.tokens / analysis.measurements.last_tokens
        said.append(f"The budget is {times:.2g} times what was measured: this is an extrapolation.")
    judged = analysis.critical.judged if analysis.critical else ()
    if any(one.turning is None for one in judged):
        unknown = ", ".join(f"{one.ratio:g}" for one in judged if one.turning is None)
        said.append(f"T0 is not known at {unknown}: there only the tolerance was asked for.")
    return said
