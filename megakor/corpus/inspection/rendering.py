"""Documents as text on a terminal or in a file, with visible token boundaries and nothing that controls a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from megakor.corpus.inspection.token_pieces import Kind, TokenPiece

SEPARATOR = "│"
_RESET = "\x1b[0m"
_TOKENS = ("\x1b[30;48;5;153m", "\x1b[30;48;5;194m", "\x1b[30;48;5;229m", "\x1b[30;48;5;224m")
_SPECIAL, _BYTES = "\x1b[97;48;5;25m", "\x1b[97;48;5;124m"
_DIM = "\x1b[2m"


def rendered(pieces: Iterable[TokenPiece], colour: bool) -> str:
    """The text, its tokens told apart by colours, or by SEPARATOR where there are none."""
    if not colour:
        return SEPARATOR.join(_spelt(piece) for piece in pieces)
    parts = []
    for number, piece in enumerate(pieces):
        shade = _TOKENS[number % len(_TOKENS)]
        if piece.kind in (Kind.SPECIAL, Kind.UNKNOWN):
            shade = _SPECIAL
        elif piece.kind in (Kind.BYTES, Kind.SPLIT):
            shade = _BYTES
        # A background that runs over the end of a line would fill the rest of it.
        parts.append(shade + _spelt(piece).replace("\n", f"{_RESET}\n{shade}") + _RESET)
    return "".join(parts)


def dimmed(text: str, colour: bool) -> str:
    """Text that matters less."""
    return f"{_DIM}{text}{_RESET}" if colour else text


def visible(text: str) -> str:
    """Text without characters that a terminal obeys or that nobody sees; a line break is shown and kept."""
    return "".join(_visible_character(character) for character in text)


def shown_ids(ids: Sequence[int]) -> str:
    """Token ids in a line."""
    return " ".join(map(str, ids))


def _spelt(piece: TokenPiece) -> str:
    if piece.kind is Kind.TEXT:
        return visible(piece.text)
    if piece.kind in (Kind.SPECIAL, Kind.UNKNOWN):
        return f"‹{visible(piece.text)}›"
    parts = SEPARATOR.join(token.hex(" ") for token in piece.tokens)
    return f"‹{visible(piece.text)} = {parts}›" if piece.kind is Kind.SPLIT else f"‹{parts}›"


def _visible_character(character: str) -> str:
    if character == "\n":
        return "⏎\n"
    if character == "\t":
        return "⇥"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
