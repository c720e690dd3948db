"""The table at the end of a run: what each language gained, beside baselines that need no neural network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from megakor.errors import DataError
from megakor.report.metrics import Line, surviving
from megakor.report.records import ValidationRecord, by_language, evaluations
from megakor.units import compact, percent

if TYPE_CHECKING:
    from megakor.corpus.baselines import Baselines

COLUMN = 10
MISSING = "-"


@dataclass(frozen=True)
class Gain:
    """One language before the first step and after the last one."""

    before: ValidationRecord
    after: ValidationRecord


def gains(lines: Sequence[Line]) -> dict[str, Gain]:
    """Language -> first and last evaluation of the surviving run.

    Raises DataError when the run has no validation lines.
    """
    by_tokens = list(evaluations(surviving(lines)).values())
    if not by_tokens:
        raise DataError("The run has no validation lines in metrics.jsonl. Give it validation text (docs/config.md).")
    first, last = by_language(by_tokens[0]), by_language(by_tokens[-1])
    return {language: Gain(first[language], last[language]) for language in first if language in last}


def summary_table(lines: Sequence[Line], baselines: Mapping[str, Baselines], notes: Mapping[str, str]) -> str:
    """The whole table as text, at most 100 columns wide.

    `lines` is metrics.jsonl as read and `baselines` is keyed by language; "unigram" and "bigram" are cross-entropies on
    the validation tokens. `notes`, label -> text of one or more lines, end the table: the ledger, where TensorBoard and
    the checkpoint are.
    """
    gained = gains(lines)
    parts = [*_loss_rows(gained, baselines), "", *_bits_rows(gained, baselines), ""]
    parts += [
        _against_entropy(language, gain.after.loss, baselines[language].unigram_entropy)
        for language, gain in gained.items()
        if language in baselines
    ]
    parts += _note("speed", _speed(lines))
    for label, text in notes.items():
        parts += _note(label, text)
    return "\n".join(parts)


def _loss_rows(gained: Mapping[str, Gain], baselines: Mapping[str, Baselines]) -> list[str]:
    rows = [_row("validation loss (nats/token)", "before", "after", "unigram", "bigram")]
    for language, gain in gained.items():
        baseline = baselines.get(language)
        simple = (baseline.unigram, baseline.bigram) if baseline else (None, None)
        rows.append(_row(f"  {language}", gain.before.loss, gain.after.loss, *simple))
    return rows


def _bits_rows(gained: Mapping[str, Gain], baselines: Mapping[str, Baselines]) -> list[str]:
    rows = [_row("bits per byte", "before", "after", "unigram", "bigram", "xz")]
    for language, gain in gained.items():
        cells: list[float | None] = [gain.before.bits_per_byte, gain.after.bits_per_byte, None, None, None]
        if baseline := baselines.get(language):
            cells[2:4] = [baseline.bits_per_byte(loss) for loss in (baseline.unigram, baseline.bigram)]
            cells[4] = baseline.xz_bits_per_byte
        rows.append(_row(f"  {language}", *cells))
    return rows


def _row(label: str, *cells: str | float | None) -> str:
    return f"{label:<30}" + "".join(f"{_cell(cell):>{COLUMN}}" for cell in cells)


def _cell(cell: str | float | None) -> str:
    if cell is None:
        return MISSING
    return cell if isinstance(cell, str) else f"{cell:.4f}"


def _against_entropy(language: str, loss: float, entropy: float) -> str:
    side = "below" if loss <= entropy else "above"
    share = percent(abs(1 - loss / entropy))
    return f"{language}: the loss ends {share} {side} the unigram entropy of its training tokens ({entropy:.4f})"


def _speed(lines: Sequence[Line]) -> str:
    speeds = [line["tokens_per_second"] for line in surviving(lines) if line["kind"] == "train"]
    return f"{compact(median(speeds))} tokens/s (median step)" if speeds else "no training step"


def _note(label: str, text: str) -> list[str]:
    first, *more = text.splitlines() or [""]
    return [f"{label:<12}{first}", *(f"{'':<12}{line}" for line in more)]
