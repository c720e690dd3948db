"""fastokens (Apache-2.0): a Rust BPE that splits text by generated code for the patterns of well-known tokenizers.

It takes other patterns too, through PCRE2, and there it can give other ids without a word: see `proof`.
"""

from __future__ import annotations

import fastokens
import numpy as np

from megakor.corpus.engines.definition import Definition

# With PCRE2's own limit of 64 KB, a run of a few thousand letters can end a pattern with "JIT stack limit reached".
_STACK_BYTES = 64 << 20


class FastokensEngine:
    """Ids come back as bytes: no Python object per token."""

    name = "fastokens"

    def __init__(self, definition: Definition) -> None:
        self._encoder = fastokens.Tokenizer.from_json_str(definition.json, pcre2_max_jit_stack_size=_STACK_BYTES)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.encode`."""
        ids, offsets = self._encoder.encode_batch_flat(texts, add_special_tokens=False, split_special_tokens=True)
        return np.frombuffer(ids, dtype="<u4"), np.frombuffer(offsets, dtype="<u8").astype(np.int64)
