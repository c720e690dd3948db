"""What a fit found, as text for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

from megakor.curriculum.cmr.analysis import AcrossResult, Analysis, RatioResult
from megakor.curriculum.cmr.bootstrap import Interval
from megakor.curriculum.cmr.critical import Judged
from megakor.curriculum.cmr.power_law import PowerFit
from megakor.curriculum.cmr.verdict import verdict
from megakor.text_table import aligned
from megakor.units import compact

WIDTH = 100
UNKNOWN = "-"


def analysis_text(analysis: Analysis) -> str:
    """Verdict, ratios, laws over ratios, sensitivity and notes; at most 100 columns wide where it can be."""
    runs = len(analysis.measurements.runs)
    head = f"{runs} runs at {len(analysis.ratios)} ratios, planned for {analysis.tokens:,} tokens"
    parts = [[head], [""], _wrapped(verdict(analysis)), [""], _ratio_table(analysis), [""]]
    parts += [_across_lines(one) for one in analysis.across]
    parts += [_budget_lines(analysis), _sensitivity_table(analysis), _notes(analysis)]
    return "\n".join(line for part in parts for line in part)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _ratio_table(analysis: Analysis) -> list[str]:
    if analysis.critical is None:
        return []
    rows: list[tuple[str, ...]] = [
        ("ratio", "general", "interval", "domain", "T0", "interval", "R2 general", "feasible")
    ]
    for one, judged in zip(analysis.ratios, analysis.critical.judged, strict=True):
        rows.append(_ratio_row(one, judged))
    return [
        "change of loss from the base at that budget (nats), and the tokens T0 where the trade turns",
        *aligned(rows, 0),
    ]


def _ratio_row(one: RatioResult, judged: Judged) -> tuple[str, ...]:
    turning = UNKNOWN if judged.turning is None else judged.turning.words
    if judged.turning and 0 < judged.turning.tokens < math.inf:
        turning = compact(judged.turning.tokens)
    return (
        f"{judged.ratio:.3f}",
        f"{judged.general:+.4f}",
        _loss_interval(one.general_change),
        f"{judged.domain:+.4f}",
        turning,
        _token_interval(one.turning),
        f"{one.general.goodness.r_squared:.4f}" if one.general else UNKNOWN,
        "yes" if judged.feasible else "no",
    )


def _loss_interval(interval: Interval | None) -> str:
    return f"{interval.low:+.4f} {interval.high:+.4f}" if interval else UNKNOWN


def _token_interval(interval: Interval | None) -> str:
    if interval is None:
        return UNKNOWN
    if interval.low <= 0 and math.isinf(interval.high):
        return "any"
    low = "start" if interval.low <= 0 else "never" if math.isinf(interval.low) else compact(interval.low)
    return f"{low} {'never' if math.isinf(interval.high) else compact(interval.high)}"


def _across_lines(one: AcrossResult) -> list[str]:
    lines = []
    if one.fit is not None:
        lines = _wrapped(f"{one.name} over ratios: {law_words(one.fit, 'R')}")
    if one.held_out:
        worst = max(one.held_out, key=lambda held: held.error)
        outside = ", outside the others" if worst.outside else ""
        errors = ", ".join(f"{held.ratio:.3g} {held.error:.3%}" for held in one.held_out)
        lines += _wrapped(f"each ratio predicted from the others: {errors} (worst at {worst.ratio:.3g}{outside})", "  ")
    return lines + [line for reason in one.reasons for line in _wrapped(f"{one.name}: {reason}.", "  ")]


def law_words(fit: PowerFit, name: str, unit: float = 1.0) -> str:
    """alpha X^s + beta with its goodness; no constants where they are not determined."""
    alpha, s, beta = fit.law.alpha_s_beta(unit)
    goodness = fit.goodness
    text = f"L = {alpha:.4f} {name}^{s:.3f} {'+' if beta >= 0 else '-'} {abs(beta):.4f}"
    if goodness.ill_conditioned:
        text = f"a curve whose constants are not determined (condition {goodness.condition:.0e})"
    left = "no freedom left" if math.isnan(goodness.noise) else f"leaves {goodness.noise:.1g} nats over"
    bound = "; the exponent lies on its bound: the losses do not follow a power" if goodness.at_bound else ""
    return f"{text}  (R2 {goodness.r_squared:.4f}, {left}{bound})"


def _budget_lines(analysis: Analysis) -> list[str]:
    if not analysis.by_budget:
        return []
    rows = [("tokens", *(compact(one.tokens) for one in analysis.by_budget[::2]))]
    rows.append(("R*", *(one.critical.words if one.critical else UNKNOWN for one in analysis.by_budget[::2])))
    lines = ["", "R* by budget", *aligned(rows, 1)]
    if analysis.budget_law is not None:
        unit = analysis.settings.unit
        words = law_words(analysis.budget_law, "T").replace("L =", "R_CMR(T) =").replace(" nats", "")
        if not analysis.budget_law.goodness.ill_conditioned:
            words = law_words(analysis.budget_law, "T", unit).replace("L =", "R_CMR(T) =").replace(" nats", "")
            words += f"; T in units of {compact(unit)} tokens"
        lines += _wrapped(words, "  ")
    return lines


def _sensitivity_table(analysis: Analysis) -> list[str]:
    if not analysis.sensitivity:
        return []
    weights = sorted({one.weight for one in analysis.sensitivity})
    rows = [("epsilon", *(f"lambda {weight:g}" for weight in weights))]
    for epsilon in sorted({one.epsilon for one in analysis.sensitivity}):
        chosen = [one for one in analysis.sensitivity if one.epsilon == epsilon]
        rows.append((f"{epsilon:g}", *(one.critical.words if one.critical else UNKNOWN for one in chosen)))
    return ["", "R* by tolerance and lambda", *aligned(rows, 0)]


def _notes(analysis: Analysis) -> list[str]:
    grouped: dict[str, list[str]] = {}
    for one in analysis.ratios:
        for reason in one.reasons:
            grouped.setdefault(reason, []).append(f"{one.curves.ratio:.3g}")
    notes = [f"at {', '.join(ratios)}: no law over tokens for {reason}." for reason, ratios in grouped.items()]
    bad = [f"{one.curves.ratio:.3g}" for one in analysis.ratios if one.general and one.general.goodness.ill_conditioned]
    if bad:
        notes.append(
            f"at {', '.join(bad)}: the five constants of the general loss are not determined singly; only the curve is."
        )
    notes += analysis.critical.notes if analysis.critical else ()
    if analysis.noise is not None:
        notes.append(f"noise between runs: {analysis.noise.scale:.2g} nats, from {analysis.noise.origin}.")
    return ["", "notes", *_bullets([*notes, *(f"{reason}." for reason in analysis.reasons)])] if notes else []


def _bullets(notes: Iterable[str]) -> list[str]:
    return [line for note in notes for line in textwrap.wrap(note, WIDTH, initial_indent="- ", subsequent_indent="  ")]
