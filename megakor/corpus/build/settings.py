"""What a process must know to encode a portion; small, the same in every process, sent to them as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from megakor.corpus.fields.conditioning import Conditioning
from megakor.corpus.holdout import HoldoutRule
from megakor.corpus.inputs.records import Fields


@dataclass(frozen=True)
class TextRules:
    """Which documents are kept, and what is done to their text before it is encoded."""

    normalize: bool = False
    """To Unicode's NFC, so that a Hangul syllable is one character however it was typed."""
    minimum_characters: int = 0
    maximum_characters: int | None = None
    where: str | None = None
    """A condition over the metadata; see `megakor.corpus.fields.expression`."""


@dataclass(frozen=True)
class HoldoutSettings:
    """Which documents are held out, and what is taken from them."""

    rule: HoldoutRule
    exclusive_sentences: bool = False
    minimum_characters: int = 0
    """Held-out documents that lost sentences and are shorter now are dropped."""


@dataclass(frozen=True)
class EncodingSettings:
    """One build of one key."""

    directory: Path
    """The work directory."""
    tokenizer: Path
    engine: str
    dtype: str
    fields: Fields
    rules: TextRules
    holdout: HoldoutSettings
    kept_fields: tuple[str, ...]
    """Fields of the input that become columns of the metadata; `fields.metadata` may hold more."""
    conditioning: Conditioning | None
    eod_id: int | None
    """Ends every document; None for no such token."""
    seed: int | None
    """Of the order of the documents; None keeps that of the inputs."""
    language: str
    language_key: str | None
    source: str
    """Name of the source; empty for the path of the input."""
    source_key: str | None
    on_error: str
    """fail or skip."""
    max_errors: int | None = None
    """Documents that one task may skip at most; the build as a whole is checked apart."""
