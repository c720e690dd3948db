"""The engine of a worker: every task compares its first documents with the reference once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from megakor.corpus.engines.compare import require_equal
from megakor.corpus.engines.definition import read_definition
from megakor.corpus.engines.engine import Engine
from megakor.corpus.engines.failure import EngineFailureError, engine_failures
from megakor.corpus.engines.load import FAST_ENGINES, load_reference
from megakor.corpus.engines.reference import TokenizersEngine
from megakor.corpus.engines.threads import use_one_thread

CHECKED_CHARACTERS, LEAST_CHECKED = 1 << 15, 1 << 12
CHECKED_SHARE = 1024
"""One byte in so many is compared: about 3 % of a fast engine's time."""


class CheckedEngine:
    """Gives the ids of the reference: by the chosen engine while it agrees, otherwise by the reference itself."""

    def __init__(self, name: str, tokenizer: Path) -> None:
        """`name` is a choice of `choose_engine`. Raises ConfigError and DataError like `load_reference`."""
        self._unfit: str | None = None
        if name in FAST_ENGINES:
            self._chosen, self._reference = self._pair(name, tokenizer)
        else:
            self._chosen = self._reference = load_reference(tokenizer)
        self._engine = self._chosen
        self._to_check = 0
        self.caught = False
        """Whether the chosen engine gave other ids in this process: what it encoded before may be wrong."""
        self._notes: list[str] = []

    def _pair(self, name: str, tokenizer: Path) -> tuple[Engine, Engine]:
        """The chosen engine and the reference, from one reading of the tokenizer."""
        use_one_thread()
        definition = read_definition(tokenizer)
        reference = TokenizersEngine(definition)
        try:
            with engine_failures("it does not take this tokenizer"):
                return FAST_ENGINES[name].make(definition), reference
        except EngineFailureError as failure:
            self._unfit = f"{name} is not used: {failure}"
            return reference, reference

    @property
    def name(self) -> str:
        """The engine in use now."""
        return self._engine.name

    @property
    def notes(self) -> list[str]:
        """Why the task uses another engine than the one chosen; empty if it does not."""
        return list(self._notes)

    def begin_task(self, size: int = 0) -> None:
        """The first characters of the task are compared, as many as its `size` in bytes says: the reference is slow.

        An engine that gave other ids once is not used again.
        """
        self._engine = self._chosen
        self._to_check = min(max(size // CHECKED_SHARE, LEAST_CHECKED), CHECKED_CHARACTERS)
        self._notes = [self._unfit] if self._unfit else []

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.encode`."""
        if self._to_check > 0 and self._engine is not self._reference:
            try:
                require_equal(self._engine, self._reference, self._first(texts))
            except EngineFailureError as failure:
                self._unfit = f"{self._chosen.name} was left for {self._reference.name}: {failure}"
                self._notes.append(self._unfit)
                self._engine = self._chosen = self._reference
                self.caught = True
        if self._engine is self._reference:
            return self._reference.encode(texts)
        try:
            return _encode(self._engine, texts)
        except EngineFailureError:
            return self._one_by_one(texts)

    def _one_by_one(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Some text stops the engine: that one is left to the reference, the others stay with the engine."""
        parts: list[np.ndarray] = []
        for text in texts:
            try:
                ids, _ = _encode(self._engine, [text])
            except EngineFailureError as failure:
                ids, _ = self._reference.encode([text])
                self._note_once(f"{self._engine.name} left texts to {self._reference.name}: {failure}")
            parts.append(ids)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return np.concatenate(parts), offsets

    def _note_once(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _first(self, texts: list[str]) -> list[str]:
        """The texts that are still to be compared; a long one up to what is left to check."""
        first: list[str] = []
        for text in texts:
            if self._to_check <= 0:
                break
            first.append(text[: self._to_check])
            self._to_check -= max(1, len(first[-1]))
        return first


def _encode(engine: Engine, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    with engine_failures("it fails to encode"):
        return engine.encode(texts)
