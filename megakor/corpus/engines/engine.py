"""What the build asks of an engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Turns texts into token ids in this process, on one thread.

    No special token is added, and text that spells one is encoded as plain characters.
    """

    @property
    def name(self) -> str:
        """As --engine calls it."""
        ...

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of all texts end to end, uint32 (tokens,), and where each begins, int64 (texts + 1,)."""
        ...
