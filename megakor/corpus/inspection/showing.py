"""Documents of a shard with their numbers, metadata, ids and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.columns import Rows
from megakor.corpus.inspection.rendering import dimmed, rendered, shown_ids, visible
from megakor.corpus.inspection.token_pieces import token_pieces
from megakor.corpus.metadata import TEXT_BYTES, metadata_schema
from megakor.corpus.shard import ShardReader
from megakor.corpus.tokenizer import Tokenizer


@dataclass(frozen=True)
class ShownDocument:
    """One document; `ids` are its first ones, `tokens` counts all."""

    number: int
    tokens: int
    ids: list[int]
    metadata: dict[str, Any]


def read_shown(prefix: Path, numbers: Sequence[int], most_tokens: int | None) -> Iterator[ShownDocument]:
    """The documents with these numbers, each with its first ids. Raises DataError for a damaged shard."""
    shard, index = ShardReader(prefix), IndexFile.open(prefix)
    schema = metadata_schema(prefix)
    names = list(schema.names) if schema is not None else []
    for number in numbers:
        start, stop = (int(offset) for offset in index.offsets(number, number + 1))
        shown = stop - start if most_tokens is None else min(stop - start, most_tokens)
        row = Rows(prefix, names, number).take(1)
        metadata = {name: values[0].as_py() for name, values in row.items()}
        yield ShownDocument(number, stop - start, shard.read(start, shown).tolist(), metadata)


class DocumentPrinter:
    """Turns documents into text for people; without a tokenizer only their ids are shown."""

    def __init__(self, tokenizer: Tokenizer | None, colour: bool, ids: bool) -> None:
        self._tokenizer = tokenizer
        self._contents = tokenizer.contents() if tokenizer is not None else []
        self._colour = colour
        self._ids = ids

    def text(self, document: ShownDocument) -> str:
        """Several lines."""
        lines = [dimmed(_heading(document), self._colour)]
        if document.metadata:
            lines.append(dimmed(_metadata_line(document.metadata), self._colour))
        if self._ids or self._tokenizer is None:
            lines.append(dimmed(f"ids: {shown_ids(document.ids)}", self._colour))
        if self._tokenizer is not None:
            pieces = token_pieces(document.ids, self._tokenizer, self._contents)
            lines.append(rendered(pieces, self._colour))
        if len(document.ids) < document.tokens:
            rest = document.tokens - len(document.ids)
            lines.append(dimmed(f"... {rest:,} more tokens (--tokens 0 shows all)", self._colour))
        return "\n".join(lines)

    def record(self, document: ShownDocument) -> dict[str, Any]:
        """The same for programs."""
        text = None if self._tokenizer is None else self._tokenizer.decode(document.ids)
        return {**vars(document), "text": text}


def _heading(document: ShownDocument) -> str:
    heading = f"--- document {document.number:,}: {document.tokens:,} tokens"
    text_bytes = document.metadata.get(TEXT_BYTES)
    if isinstance(text_bytes, int) and document.tokens:
        heading += f", {text_bytes:,} bytes of text, {text_bytes / document.tokens:.3f} bytes/token"
    return heading


def _metadata_line(metadata: dict[str, Any]) -> str:
    return visible("  ".join(f"{name}={value}" for name, value in metadata.items() if value is not None)).replace(
        "\n", " "
    )
