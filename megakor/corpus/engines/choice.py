"""Which engine a build uses: the fastest one that proves to give the reference's ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from megakor.corpus.engines.load import (
    AUTO,
    FAST_ENGINES,
    SENTENCEPIECE,
    installed_version,
    load_reference,
    reference_name,
    require_fitting,
)
from megakor.corpus.engines.proof import prove


@dataclass(frozen=True)
class EngineChoice:
    """An engine, and what was said of those that were passed over."""

    name: str
    version: str
    notes: list[str] = field(default_factory=list)


def choose_engine(wanted: str, tokenizer: Path, sample: Sequence[str]) -> EngineChoice:
    """The engine for this tokenizer and this corpus, of which `sample` holds some documents.

    `auto` takes the first of FAST_ENGINES that is installed and passes the proof. An engine asked for by name must
    pass it too. Otherwise it is the reference, and the notes say why.
    Raises ConfigError for a name that is unknown, not installed or of another kind of tokenizer, DataError for a bad
    tokenizer.
    """
    require_fitting(wanted, tokenizer)
    load_reference(tokenizer)
    reference = reference_name(tokenizer)
    notes: list[str] = []
    for name in _candidates(wanted, notes) if reference != SENTENCEPIECE else []:
        reason = prove(name, tokenizer, sample)
        if reason is None:
            return EngineChoice(name, installed_version(name) or "", notes)
        notes.append(f"{name} is not used: {reason}")
    return EngineChoice(reference, installed_version(reference) or "", notes)


def _candidates(wanted: str, notes: list[str]) -> list[str]:
    if wanted != AUTO:
        return [wanted] if wanted in FAST_ENGINES else []
    installed = [name for name in FAST_ENGINES if installed_version(name) is not None]
    if not installed:
        install = next(iter(FAST_ENGINES.values())).install
        notes.append(f"no fast engine is installed; one encodes about 20 times faster: {install}")
    return installed
