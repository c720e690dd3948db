"""A tokenizer, whichever library reads it: a directory with tokenizer.json, or a SentencePiece model."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megakor.config.vocabulary import SENTENCEPIECE_SUFFIX, tokenizer_file
from megakor.errors import DataError

END_OF_DOCUMENT = "<|endoftext|>"
PADDING = "<|pad|>"
END_NAMES = (END_OF_DOCUMENT, "<|end_of_text|>", "</s>", "<eos>", "[EOS]")
"""Names of the end token in common tokenizers, tried when tokenizer_config.json names none."""

LARGEST_VOCABULARY = 1 << 24
"""Ids that a tokenizer may have, sixty times the largest vocabularies in use: lists of that length are made, and
libraries end the process at some larger sizes."""


class Tokenizer(ABC):
    """Text <-> token ids. Text that spells a special token is encoded as plain characters, never as that token."""

    def __init__(self, end: str | None, sha256: str) -> None:
        self._end = end
        self.sha256 = sha256
        """SHA-256 of the tokenizer's file."""

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Load from a directory, its tokenizer.json, or a SentencePiece .model file.

        Raises DataError when it is missing or malformed, ConfigError when `sentencepiece` is needed and not installed.
        """
        from megakor.corpus.tokenizer_huggingface import HuggingFaceTokenizer
        from megakor.corpus.tokenizer_sentencepiece import SentencePieceTokenizer

        file = tokenizer_file(Path(path))
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError(
                f"{file}: no tokenizer here ({error.strerror}); train one with tools/train_tokenizer.py "
                "or name a directory that holds tokenizer.json, or a SentencePiece .model file."
            ) from error
        sha256 = hashlib.sha256(content).hexdigest()
        if file.suffix == SENTENCEPIECE_SUFFIX:
            return SentencePieceTokenizer(file, content, sha256)
        return HuggingFaceTokenizer(file, content, sha256)

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """One more than the largest id; ids that stand for nothing count too. Raises DataError above
        LARGEST_VOCABULARY."""

    @property
    def eod_id(self) -> int:
        """The id that ends a document. Raises DataError if the tokenizer has none."""
        token_id = self.token_id(self._end) if self._end else None
        if token_id is None:
            raise DataError(
                f"the tokenizer has no end-of-document token; name one as eos_token in tokenizer_config.json "
                f"(looked for {', '.join(END_NAMES)})."
            )
        return token_id

    @abstractmethod
    def token_id(self, token: str) -> int | None:
        """The id of a token by its name in the vocabulary; None if there is none."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of a text; no special token is added."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, special tokens spelt out."""

    @abstractmethod
    def contents(self) -> list[bytes]:
        """The UTF-8 bytes that each id stands for (vocabulary_size of them): none for special tokens and unused ids."""

    def token_bytes(self) -> np.ndarray:
        """int32 (vocabulary_size,): UTF-8 bytes that each id stands for; 0 for special tokens and unused ids."""
        return np.array([len(content) for content in self.contents()], dtype=np.int32)

    @abstractmethod
    def fragments(self) -> np.ndarray:
        """bool (vocabulary_size,): ids that stand for no whole characters: bytes of one, or "unknown"."""


def named_end(directory: Path) -> str | None:
    """`eos_token` of tokenizer_config.json, None where there is none. Raises DataError for a file that is no JSON."""
    path = directory / "tokenizer_config.json"
    if not path.is_file():
        return None
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
        named = config.get("eos_token")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a JSON object ({error}).") from error
    named = named.get("content") if isinstance(named, dict) else named
    return str(named) if named else None


def piece_bytes(piece: str) -> bytes:
    """Bytes of a SentencePiece-style piece: <0xNN> is one byte, a low line block (U+2581) is one space."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode("utf-8")


def is_fragment(content: bytes) -> bool:
    """Whether the bytes are not whole characters."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False
