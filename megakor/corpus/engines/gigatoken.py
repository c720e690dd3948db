"""gigatoken (MIT): a Rust BPE that knows the patterns of well-known tokenizers and refuses every other."""

from __future__ import annotations

import json

import gigatoken
import numpy as np

from megakor.corpus.engines.definition import Definition


class GigatokenEngine:
    """Ids come back as one array; the calling thread does all the work."""

    name = "gigatoken"

    def __init__(self, definition: Definition) -> None:
        self._encoder = gigatoken.Tokenizer.from_json(_without_special_tokens(definition.json))

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.encode`."""
        layout = self._encoder.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(layout.offsets.data, dtype=np.int64)
        return np.asarray(layout.content.data, dtype=np.uint32)[offsets[0] : offsets[-1]], offsets - offsets[0]


def _without_special_tokens(content: str) -> str:
    """The definition without them: the library would find them in texts and cannot be told not to."""
    definition = json.loads(content)
    definition["added_tokens"] = [token for token in definition.get("added_tokens", ()) if not token.get("special")]
    return json.dumps(definition)
