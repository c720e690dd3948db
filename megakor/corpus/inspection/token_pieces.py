"""Token ids as pieces of text that show where tokens begin, bytes of broken characters included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from megakor.corpus.tokenizer import Tokenizer


class Kind(Enum):
    """What a piece is."""

    TEXT = "text"
    SPLIT = "split"
    """Characters whose bytes are in several tokens."""
    BYTES = "bytes"
    """Bytes that are no character, with their neighbours either."""
    SPECIAL = "special"
    UNKNOWN = "unknown"
    """An id that the tokenizer does not have."""


@dataclass(frozen=True)
class TokenPiece:
    """Text of one token; of several only where characters are split between them."""

    kind: Kind
    text: str
    tokens: tuple[bytes, ...] = ()
    """The bytes of each token, for SPLIT and BYTES."""


def token_pieces(ids: Sequence[int], tokenizer: Tokenizer, contents: Sequence[bytes]) -> Iterator[TokenPiece]:
    """Pieces in order; `contents` are the bytes that each id of the tokenizer stands for."""
    waiting: list[bytes] = []
    for token_id in ids:
        content = contents[token_id] if 0 <= token_id < len(contents) else b""
        if not content:
            yield from _broken(waiting)
            waiting = []
            yield _nameless(token_id, tokenizer, len(contents))
            continue
        if waiting and _is_hopeless(b"".join([*waiting, content])):
            yield from _broken(waiting)
            waiting = []
        waiting.append(content)
        if (text := _decoded(b"".join(waiting))) is not None:
            kind = Kind.TEXT if len(waiting) == 1 else Kind.SPLIT
            yield TokenPiece(kind, text, () if kind is Kind.TEXT else tuple(waiting))
            waiting = []
        elif _is_hopeless(b"".join(waiting)):
            yield from _broken(waiting)
            waiting = []
    yield from _broken(waiting)


def _nameless(token_id: int, tokenizer: Tokenizer, known: int) -> TokenPiece:
    if not 0 <= token_id < known:
        return TokenPiece(Kind.UNKNOWN, f"id {token_id}")
    return TokenPiece(Kind.SPECIAL, tokenizer.decode([token_id]) or f"id {token_id}")


def _broken(contents: list[bytes]) -> Iterator[TokenPiece]:
    for content in contents:
        yield TokenPiece(Kind.BYTES, "", (content,))


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_hopeless(content: bytes) -> bool:
    """Whether no further bytes can make whole characters of these."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return False
