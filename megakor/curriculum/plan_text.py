"""A plan as text, for `--dry-run`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from megakor.config.quantities import rounded
from megakor.curriculum.plan import Closing, PhasePlan, Plan, Supply
from megakor.text_table import aligned

_HEAD = ("Plan", "source", "language", "tokens", "share", "epochs", "so far", "documents")
WIDTH = 100


def plan_lines(plan: Plan, supplies: Mapping[str, Supply], languages: Mapping[str, str]) -> list[str]:
    """A table of what each phase reads of each source and language, the whole run last, then what happens at caps.

    `epochs` are passes over a source in a phase, `so far` those from the start of the run to the end of the phase;
    `languages` are those of all sources by name.
    """
    rows: list[tuple[str, ...]] = [_HEAD]
    for phase in plan.phases:
        rows += _phase_rows(phase, supplies, languages)
    if len(plan.phases) > 1:
        rows += _rows("whole run", plan.totals(), {}, supplies, languages)
    legend = "documents: those of the epochs read, in proportion; ? what is not on this machine."
    return [*aligned(rows, left=3), legend, *_closing_lines(plan)]


def _phase_rows(
    phase: PhasePlan, supplies: Mapping[str, Supply], languages: Mapping[str, str]
) -> list[tuple[str, ...]]:
    return _rows(phase.phase.name, phase.tokens, phase.before, supplies, languages)


def _rows(
    label: str,
    tokens: Mapping[str, float],
    before: Mapping[str, float],
    supplies: Mapping[str, Supply],
    languages: Mapping[str, str],
) -> list[tuple[str, ...]]:
    total = sum(tokens.values()) or 1.0
    rows = []
    for name in languages:
        if tokens.get(name, 0.0) > 0:
            read = [
                _epochs(name, tokens[name], supplies),
                _epochs(name, before.get(name, 0.0) + tokens[name], supplies),
            ]
            documents = _documents([name], tokens, supplies)
            rows.append((name, languages[name], rounded(tokens[name]), f"{tokens[name] / total:.2%}", *read, documents))
    for language in dict.fromkeys(languages.values()):
        names = [name for name in languages if languages[name] == language and tokens.get(name, 0.0) > 0]
        if names and len(names) < len([name for name in tokens if tokens[name] > 0]):
            read_here = sum(tokens[name] for name in names)
            cells = (rounded(read_here), f"{read_here / total:.2%}", "", "", _documents(names, tokens, supplies))
            rows.append((f"all {language}", "", *cells))
    return [(label if number == 0 else "", *row) for number, row in enumerate(rows)]


def _epochs(name: str, tokens: float, supplies: Mapping[str, Supply]) -> str:
    return f"{tokens / supplies[name].epoch_tokens:.3f}" if name in supplies else "?"


def _documents(names: Iterable[str], tokens: Mapping[str, float], supplies: Mapping[str, Supply]) -> str:
    known = [(supplies[name], tokens[name]) for name in names if name in supplies]
    if len(known) < len(list(names)):
        return "?"
    return rounded(round(sum(supply.documents * read / supply.epoch_tokens for supply, read in known)))


def _closing_lines(plan: Plan) -> list[str]:
    lines = [_closing_words(closing, plan) for closing in plan.closings]
    if plan.ends_at is not None and not (lines and plan.closings[-1].exhausted != "redistribute"):
        lines.append(f"No source is left at {plan.ends_at:,} tokens: the run ends there, before its budget.")
    return [line for text in lines for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ")]


def _closing_words(closing: Closing, plan: Plan) -> str:
    head = f"{closing.source} comes to its cap at {closing.at:,} tokens, in {closing.phase}: "
    if closing.exhausted != "redistribute" and plan.ends_at == closing.at:
        return head + ("the run stops there." if closing.exhausted == "stop" else "the run fails there.")
    if not closing.heirs:
        return head + "nothing is open beside it."
    return head + f"from there on its share goes to {', '.join(closing.heirs)}, in proportion to their weights."
