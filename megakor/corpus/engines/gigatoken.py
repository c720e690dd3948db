"""gigatoken (MIT): a Rust BPE that knows the patterns of well-known tokenizers and refuses every other."""

from __future__ import annotations

import json

import gigatoken
import numpy as np
import psutil

from megakor.corpus.engines.definition import Definition

# The library keeps every word it has met: 1.4 GB after 135 MB of text without repetitions. Loading it anew frees it.
_KEPT_BYTES = 150 << 20


class GigatokenEngine:
    """Ids come back as one array; the calling thread does all the work."""

    name = "gigatoken"

    def __init__(self, definition: Definition) -> None:
        self._json = _without_special_tokens(definition.json)
        self._process = psutil.Process()
        self._load()

    def _load(self) -> None:
        self._encoder = gigatoken.Tokenizer.from_json(self._json)
        self._resident_bytes = self._process.memory_info().rss

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.encode`."""
        if self._process.memory_info().rss - self._resident_bytes > _KEPT_BYTES:
            del self._encoder  # its memory is free before that of the new one is taken
            self._load()
        layout = self._encoder.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(layout.offsets.data, dtype=np.int64)
        return np.asarray(layout.content.data, dtype=np.uint32)[offsets[0] : offsets[-1]], offsets - offsets[0]


def _without_special_tokens(content: str) -> str:
    """The definition without them: the library would find them in texts and cannot be told not to."""
    definition = json.loads(content)
    definition["added_tokens"] = [token for token in definition.get("added_tokens", ()) if not token.get("special")]
    return json.dumps(definition)
