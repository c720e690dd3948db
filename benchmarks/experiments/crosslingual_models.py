"""The three models of cross-lingual packing, the texts that they are measured on, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairs import ParallelText
from running import losses

DOCUMENT, XLDA, ONE_LANGUAGE = "document", "xlda", "one-language"
MODELS = {
    DOCUMENT: "trained with document masks",
    XLDA: "trained with XLDA",
    ONE_LANGUAGE: "trained on rows of one language",
}
SETS = {
    "after-own": "Korean after its English",
    "after-other": "Korean after another English text",
    "after-none": "the same Korean alone",
    "plain-korean": "plain Korean",
    "plain-english": "plain English",
}
SMALLEST = 0.02
"""Nats a token that count as an effect of English on Korean."""
PLAIN = 0.1
"""Nats a token that count as a difference of plain losses."""


def rows_and_mask(model: str, text: ParallelText) -> tuple[Path, str]:
    """What a model reads, and the mask of its training phase.

    isolated: attention stays inside documents. document: it goes through the segments of rows, which are whole rows.
    """
    rows = text.one_language if model == ONE_LANGUAGE else text.training
    return rows, "isolated" if model == DOCUMENT else "document"


@dataclass(frozen=True)
class Comparison:
    """How much higher one loss is than another at the end, in nats a token; met from `low` to `high`."""

    key: str
    higher: tuple[str, str]
    """Model, set."""
    lower: tuple[str, str]
    low: float | None = None
    high: float | None = None


COMPARISONS = (
    Comparison("XLDA: what its English takes off Korean", (XLDA, "after-none"), (XLDA, "after-own"), SMALLEST),
    Comparison(
        "XLDA: what its English takes off, beside another", (XLDA, "after-other"), (XLDA, "after-own"), SMALLEST
    ),
    Comparison(
        "rows of one language: what its English takes off Korean",
        (ONE_LANGUAGE, "after-none"),
        (ONE_LANGUAGE, "after-own"),
        high=SMALLEST,
    ),
    Comparison(
        "XLDA with its English below document masks without", (DOCUMENT, "after-none"), (XLDA, "after-own"), SMALLEST
    ),
    Comparison(
        "XLDA with its English below rows of one language without",
        (ONE_LANGUAGE, "after-none"),
        (XLDA, "after-own"),
        SMALLEST,
    ),
    Comparison("plain Korean, XLDA below document masks", (DOCUMENT, "plain-korean"), (XLDA, "plain-korean"), PLAIN),
    Comparison("plain English, XLDA below document masks", (DOCUMENT, "plain-english"), (XLDA, "plain-english"), PLAIN),
    Comparison(
        "plain Korean, XLDA below rows of one language",
        (ONE_LANGUAGE, "plain-korean"),
        (XLDA, "plain-korean"),
        -PLAIN,
        PLAIN,
    ),
    Comparison(
        "plain English, XLDA below rows of one language",
        (ONE_LANGUAGE, "plain-english"),
        (XLDA, "plain-english"),
        -PLAIN,
        PLAIN,
    ),
)


def compared(home: Path) -> dict[str, float]:
    """What the models of one seed show at the end of their runs."""
    ends = {model: last_losses(home / model) for model in MODELS}

    def loss(of: tuple[str, str]) -> float:
        return ends[of[0]][of[1]]

    return {one.key: loss(one.higher) - loss(one.lower) for one in COMPARISONS}


def last_losses(run: Path) -> dict[str, float]:
    """Validation set -> loss at the end of a run."""
    found = losses(run)
    return found[max(found)]
