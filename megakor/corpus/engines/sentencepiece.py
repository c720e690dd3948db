"""SentencePiece `.model` files, by the sentencepiece library: there the reference itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sentencepiece

from megakor.errors import DataError


class SentencePieceEngine:
    """The pieces of the model, without its begin and end."""

    name = "sentencepiece"

    def __init__(self, file: Path) -> None:
        """Raises DataError when the file is missing or no model."""
        try:
            self._encoder = sentencepiece.SentencePieceProcessor()
            self._encoder.LoadFromSerializedProto(file.read_bytes())
        except OSError as error:
            raise DataError(f"{file}: no tokenizer here ({error.strerror}).") from error
        except RuntimeError as error:
            raise DataError(f"{file}: not a SentencePiece model ({error}).") from error

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.encode`."""
        parts = [np.array(ids, dtype=np.uint32) for ids in self._encoder.encode(texts, num_threads=1)]
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint32), offsets
