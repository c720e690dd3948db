"""Tokenizers of the Hugging Face tokenizers library: tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import tokenizers

from megakor.corpus.tokenizer import END_NAMES, LARGEST_VOCABULARY, Tokenizer, is_fragment, named_end, piece_bytes
from megakor.errors import DataError


class HuggingFaceTokenizer(Tokenizer):
    """See `Tokenizer`. tokenizer_config.json beside the file may name the end token."""

    def __init__(self, file: Path, content: bytes, sha256: str) -> None:
        _check_ids(file, content)
        try:
            encoder = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise DataError(f"{file}: not a tokenizer of the Hugging Face tokenizers library ({error}).") from error
        # Without this a document that contains "<|endoftext|>" would end in the middle.
        encoder.encode_special_tokens = True
        self._encoder = encoder
        end = named_end(file.parent) or next(
            (name for name in END_NAMES if encoder.token_to_id(name) is not None), None
        )
        super().__init__(end, sha256)

    @cached_property
    def vocabulary_size(self) -> int:
        """See `Tokenizer.vocabulary_size`."""
        largest: int = max(self._encoder.get_vocab(with_added_tokens=True).values(), default=-1)
        return largest + 1

    def token_id(self, token: str) -> int | None:
        """See `Tokenizer.token_id`."""
        found: int | None = self._encoder.token_to_id(token)
        return found

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer.encode`."""
        ids: list[int] = self._encoder.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode_batch`; on the library's own threads unless TOKENIZERS_PARALLELISM=false."""
        return [encoding.ids for encoding in self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        text: str = self._encoder.decode(list(ids), skip_special_tokens=False)
        return text

    def contents(self) -> list[bytes]:
        """See `Tokenizer.contents`."""
        byte_level = '"ByteLevel"' in json.dumps(json.loads(self._encoder.to_str()).get("decoder"))
        found = [b""] * self.vocabulary_size
        for token, token_id in self._encoder.get_vocab(with_added_tokens=False).items():
            found[token_id] = _byte_level_bytes(token) if byte_level else piece_bytes(token)
        for token_id, added in self._encoder.get_added_tokens_decoder().items():
            found[token_id] = b"" if added.special else added.content.encode("utf-8")
        return found

    def fragments(self) -> np.ndarray:
        """See `Tokenizer.fragments`."""
        found = np.array([is_fragment(content) for content in self.contents()], dtype=bool)
        unknown = getattr(self._encoder.model, "unk_token", None)
        if unknown and (unknown_id := self.token_id(unknown)) is not None:
            found[unknown_id] = True
        return found


def _check_ids(file: Path, content: bytes) -> None:
    """Raises DataError for an id beyond sense, before the library makes room for all ids below it."""
    try:
        described = json.loads(content)
        ids = [*described["model"]["vocab"].values(), *(token["id"] for token in described.get("added_tokens") or ())]
        largest = max(ids, default=0)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return  # not such a file, which the library says
    if largest >= LARGEST_VOCABULARY:
        raise DataError(
            f"{file}: it has a token of id {largest:,}; ids end below {LARGEST_VOCABULARY:,}. The file is damaged, or "
            "its ids are not numbered from 0."
        )


def _byte_level_bytes(token: str) -> bytes:
    alphabet = _byte_level_alphabet()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode("utf-8")  # a token that was put into the vocabulary by hand


@cache
def _byte_level_alphabet() -> dict[str, int]:
    """Character -> byte of byte-level BPE (GPT-2's): printable Latin-1 stands for itself, the rest from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + number): byte for number, byte in enumerate(rest)}
