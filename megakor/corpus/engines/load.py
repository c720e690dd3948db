"""Engines by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from megakor.corpus.engines.definition import SENTENCEPIECE_SUFFIX, Definition, read_definition
from megakor.corpus.engines.engine import Engine
from megakor.corpus.engines.reference import TokenizersEngine
from megakor.corpus.engines.threads import use_one_thread
from megakor.errors import ConfigError

AUTO = "auto"
REFERENCE = TokenizersEngine.name
SENTENCEPIECE = "sentencepiece"


def _fastokens(definition: Definition) -> Engine:
    from megakor.corpus.engines.fastokens import FastokensEngine

    return FastokensEngine(definition)


@dataclass(frozen=True)
class FastEngine:
    """An engine that must prove itself."""

    make: Callable[[Definition], Engine]
    install: str


FAST_ENGINES = {"fastokens": FastEngine(_fastokens, "pip install 'megakor[fast]'")}
"""In the order of preference: see docs/corpus.md for the reasons."""

ENGINE_NAMES = (AUTO, *FAST_ENGINES, REFERENCE, SENTENCEPIECE)


def is_sentencepiece(tokenizer: Path) -> bool:
    """Whether the tokenizer is a SentencePiece model file."""
    return tokenizer.suffix == SENTENCEPIECE_SUFFIX


def installed_version(name: str) -> str | None:
    """The version of the engine's package, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def load_reference(tokenizer: Path) -> Engine:
    """The engine whose ids count: `tokenizers`. Raises DataError for a bad tokenizer."""
    use_one_thread()
    return TokenizersEngine(read_definition(tokenizer))


def load_engine(name: str, tokenizer: Path) -> Engine:
    """The engine NAME for a tokenizer's directory or file, on one thread.

    Raises ConfigError for a name that is unknown or not installed, DataError for a bad tokenizer, and whatever the
    library raises when it does not take the tokenizer (`CheckedEngine` falls back instead).
    """
    if name == REFERENCE:
        return load_reference(tokenizer)
    require_installed(name)
    use_one_thread()
    return FAST_ENGINES[name].make(read_definition(tokenizer))


def require_installed(name: str) -> None:
    """Raises ConfigError when the name is unknown or its package is missing."""
    if name not in ENGINE_NAMES:
        raise ConfigError(f"--engine {name}: no engine of that name; there are {', '.join(ENGINE_NAMES)}.")
    if name in FAST_ENGINES and installed_version(name) is None:
        raise ConfigError(f"--engine {name}: not installed; {FAST_ENGINES[name].install}, or use --engine auto.")
