"""The size of the vocabulary: from the config, or from the tokenizer where it is on this machine."""

from __future__ import annotations

import json
from pathlib import Path

from megakor.config.schema import Config

HUGGING_FACE_FILE = "tokenizer.json"
SENTENCEPIECE_SUFFIX = ".model"


def tokenizer_file(path: Path) -> Path:
    """The file that holds a tokenizer: the path itself, or what its directory has of tokenizer.json and *.model.

    Where there is nothing, the tokenizer.json that would be there.
    """
    if path.suffix in (".json", SENTENCEPIECE_SUFFIX) and not path.is_dir():
        return path
    if not (path / HUGGING_FACE_FILE).is_file():
        models = sorted(path.glob(f"*{SENTENCEPIECE_SUFFIX}"))
        if len(models) == 1:
            return models[0]
    return path / HUGGING_FACE_FILE


def vocabulary_size(config: Config) -> int | None:
    """Tokens in the vocabulary; None where it is left to a tokenizer that is not here or cannot be read."""
    if config.model.vocabulary_size is not None:
        return config.model.vocabulary_size
    if not config.data.tokenizer:
        return None
    file = tokenizer_file(Path(config.data.tokenizer))
    try:
        if file.suffix == SENTENCEPIECE_SUFFIX:
            return _sentencepiece_size(file.read_bytes())
        content = json.loads(file.read_text(encoding="utf-8"))
        ids = [*content["model"]["vocab"].values(), *(token["id"] for token in content.get("added_tokens", ()))]
        return max(ids) + 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _sentencepiece_size(content: bytes) -> int:
    """Pieces of a SentencePiece model: entries of field 1 of the protocol buffer, counted without its library."""
    position = pieces = 0
    while position < len(content):
        key, position = _varint(content, position)
        pieces += key == (1 << 3 | 2)
        if key & 7 == 0:
            _, position = _varint(content, position)
        elif key & 7 == 2:
            length, position = _varint(content, position)
            position += length
        elif key & 7 in (1, 5):
            position += 8 if key & 7 == 1 else 4
        else:
            raise ValueError("not a protocol buffer")
    if position != len(content) or not pieces:
        raise ValueError("not a whole SentencePiece model")
    return pieces


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the position after it. Raises IndexError at the end."""
    number = shift = 0
    while content[position] & 0x80:
        number |= (content[position] & 0x7F) << shift
        shift, position = shift + 7, position + 1
    return number | content[position] << shift, position + 1
