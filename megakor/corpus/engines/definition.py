"""tokenizer.json as the engines get it: with what makes ids depend on chance or on a text's length taken out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tokenizers

from megakor.config.vocabulary import SENTENCEPIECE_SUFFIX, tokenizer_file
from megakor.errors import DataError


@dataclass(frozen=True)
class Definition:
    """A tokenizer of the Hugging Face tokenizers library and the JSON that describes it."""

    encoder: tokenizers.Tokenizer
    """Encodes text that spells a special token as plain characters."""
    json: str


def is_sentencepiece(tokenizer: Path) -> bool:
    """Whether it is a SentencePiece model and no tokenizer.json."""
    return tokenizer_file(tokenizer).suffix == SENTENCEPIECE_SUFFIX


def read_definition(tokenizer: Path) -> Definition:
    """Read a directory or its tokenizer.json. Raises DataError when it is missing or malformed.

    Truncation and padding are switched off (they would cut documents short), and so is BPE dropout (the same text
    would have other ids at every run).
    """
    file = tokenizer_file(tokenizer)
    try:
        content = file.read_text(encoding="utf-8")
        encoder = tokenizers.Tokenizer.from_str(content)
    except OSError as error:
        raise DataError(f"{file}: no tokenizer here ({error.strerror}).") from error
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"{file}: not a tokenizer of the Hugging Face tokenizers library ({error}).") from error
    dropout = getattr(encoder.model, "dropout", None)
    if encoder.truncation or encoder.padding or dropout:
        encoder.no_truncation()
        encoder.no_padding()
        if dropout:
            encoder.model.dropout = None
        content = encoder.to_str()
    encoder.encode_special_tokens = True
    return Definition(encoder, content)
