"""Tokenizers of the SentencePiece library: a .model file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.tokenizer import END_NAMES, Tokenizer, is_fragment, named_end, piece_bytes
from megakor.errors import ConfigError, DataError


class SentencePieceTokenizer(Tokenizer):
    """See `Tokenizer`. Most models normalise text (NFKC, one space for many): `decode` gives the normalised text."""

    def __init__(self, file: Path, content: bytes, sha256: str) -> None:
        self._processor = _load(file, content)
        end = named_end(file.parent) or self._model_end()
        super().__init__(end, sha256)

    @property
    def vocabulary_size(self) -> int:
        """See `Tokenizer.vocabulary_size`."""
        return int(self._processor.get_piece_size())

    def token_id(self, token: str) -> int | None:
        """See `Tokenizer.token_id`."""
        found = int(self._processor.piece_to_id(token))  # the id of "unknown" for what is not there
        return found if self._processor.id_to_piece(found) == token else None

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer.encode`."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode_batch`; on one thread."""
        ids: list[list[int]] = self._processor.encode(list(texts), out_type=int, num_threads=1)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        control = self._processor.is_control
        return "".join(
            "".join(map(self._processor.id_to_piece, run)) if special else str(self._processor.decode(list(run)))
            for special, run in groupby(map(int, ids), control)
        )

    def fragments(self) -> np.ndarray:
        """See `Tokenizer.fragments`."""
        found = np.array([is_fragment(content) for content in self.contents()], dtype=bool)
        found[self._processor.unk_id()] = True
        return found

    def contents(self) -> list[bytes]:
        """See `Tokenizer.contents`."""
        processor = self._processor
        nothing = [processor.is_control(n) or processor.is_unknown(n) for n in range(self.vocabulary_size)]
        return [b"" if empty else piece_bytes(processor.id_to_piece(n)) for n, empty in enumerate(nothing)]

    def _model_end(self) -> str | None:
        if self._processor.eos_id() >= 0:
            return str(self._processor.id_to_piece(self._processor.eos_id()))
        return next((name for name in END_NAMES if self.token_id(name) is not None), None)


def _load(file: Path, content: bytes) -> Any:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ConfigError(
            f"{file}: a SentencePiece model needs the package sentencepiece: pip install 'megakor[sentencepiece]'."
        ) from error
    try:
        if not content:
            raise RuntimeError("the file is empty")  # the library would take it, and complain at every later call
        return SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise DataError(f"{file}: not a SentencePiece model ({error}).") from error
