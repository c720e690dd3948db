"""Engines by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from megakor.config.vocabulary import tokenizer_file
from megakor.corpus.engines.definition import Definition, is_sentencepiece, read_definition
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


def _gigatoken(definition: Definition) -> Engine:
    from megakor.corpus.engines.gigatoken import GigatokenEngine

    return GigatokenEngine(definition)


@dataclass(frozen=True)
class FastEngine:
    """An engine that must prove itself."""

    make: Callable[[Definition], Engine]
    install: str


FAST_ENGINES = {
    "fastokens": FastEngine(_fastokens, "pip install 'megakor[fast]'"),
    "gigatoken": FastEngine(_gigatoken, "pip install gigatoken"),
}
"""In the order of preference: see docs/corpus.md for the reasons."""

ENGINE_NAMES = (AUTO, *FAST_ENGINES, REFERENCE, SENTENCEPIECE)


def installed_version(name: str) -> str | None:
    """The version of the engine's package, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def reference_name(tokenizer: Path) -> str:
    """The engine whose ids count for this tokenizer: sentencepiece for `.model` files, tokenizers for all others."""
    return SENTENCEPIECE if is_sentencepiece(tokenizer) else REFERENCE


def load_reference(tokenizer: Path) -> Engine:
    """The engine whose ids count, on one thread. Raises DataError for a bad tokenizer, ConfigError for want of it."""
    use_one_thread()
    if not is_sentencepiece(tokenizer):
        return TokenizersEngine(read_definition(tokenizer))
    if installed_version(SENTENCEPIECE) is None:
        raise ConfigError(f"{tokenizer}: reading it needs SentencePiece; pip install 'megakor[sentencepiece]'.")
    from megakor.corpus.engines.sentencepiece import SentencePieceEngine

    return SentencePieceEngine(tokenizer_file(tokenizer))


def load_engine(name: str, tokenizer: Path) -> Engine:
    """The engine NAME for a tokenizer's directory or file, on one thread.

    Raises ConfigError for a name that is unknown, not installed or of another kind of tokenizer, DataError for a bad
    tokenizer, and whatever the library raises when it does not take it (`CheckedEngine` falls back instead).
    """
    require_fitting(name, tokenizer)
    if name not in FAST_ENGINES:
        return load_reference(tokenizer)
    use_one_thread()
    return FAST_ENGINES[name].make(read_definition(tokenizer))


def require_fitting(name: str, tokenizer: Path) -> None:
    """Raises ConfigError when the name is unknown, its package missing, or the tokenizer of another kind."""
    if name not in ENGINE_NAMES:
        raise ConfigError(f"--engine {name}: no engine of that name; there are {', '.join(ENGINE_NAMES)}.")
    if name in FAST_ENGINES and installed_version(name) is None:
        raise ConfigError(f"--engine {name}: not installed; {FAST_ENGINES[name].install}, or use --engine auto.")
    wanted = reference_name(tokenizer)
    if name != AUTO and (name == SENTENCEPIECE) != (wanted == SENTENCEPIECE):
        raise ConfigError(f"--engine {name}: {tokenizer_file(tokenizer)} needs --engine {wanted} (or auto).")
