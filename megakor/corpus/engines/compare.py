"""The ids of an engine against those of the reference."""

from __future__ import annotations

import numpy as np

from megakor.corpus.engines.engine import Engine
from megakor.corpus.engines.failure import EngineFailureError, engine_failures

_SHOWN_CHARACTERS = 60
_SHOWN_IDS = 4


def require_equal(engine: Engine, reference: Engine, texts: list[str]) -> None:
    """Raise EngineFailureError that names the first text at which the engine fails or gives other ids."""
    expected, expected_offsets = reference.encode(texts)
    with engine_failures("it fails to encode"):
        found, offsets = engine.encode(texts)
    if np.array_equal(expected_offsets, offsets) and np.array_equal(expected, found):
        return
    if len(offsets) != len(expected_offsets):
        raise EngineFailureError(f"it answers {len(texts)} texts with {len(offsets) - 1}")
    for index, text in enumerate(texts):
        wanted = expected[expected_offsets[index] : expected_offsets[index + 1]].tolist()
        given = found[offsets[index] : offsets[index + 1]].tolist()
        if wanted != given:
            raise EngineFailureError(_difference(text, wanted, given, reference.name))
    raise EngineFailureError("its offsets do not begin and end with its ids")


def _difference(text: str, wanted: list[int], given: list[int], reference: str) -> str:
    shown = repr(text[:_SHOWN_CHARACTERS]) + ("..." if len(text) > _SHOWN_CHARACTERS else "")
    at = next((i for i, (one, other) in enumerate(zip(wanted, given, strict=False)) if one != other), None)
    at = min(len(wanted), len(given)) if at is None else at
    ours, theirs = given[at : at + _SHOWN_IDS], wanted[at : at + _SHOWN_IDS]
    return f"other ids for {shown}: {ours} from token {at}, where {reference} gives {theirs}"
