"""Rows out of parallel documents: held-out Korean after several kinds of context, and training rows of one language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from megakor.corpus.index_file import IndexFile
from megakor.corpus.manifest import read_manifest
from megakor.corpus.metadata import read_metadata
from megakor.corpus.operations.packing import BestFit
from megakor.corpus.operations.pieces import Piece, cut
from megakor.corpus.operations.row_sink import RowFormat, RowSink
from megakor.corpus.operations.workplace import publish_shards, workplace
from megakor.corpus.row_file import RowFile
from megakor.corpus.shard import ShardReader
from megakor.errors import DataError

CONTEXTS = ("own", "none", "other")
"""What stands before the Korean of a held-out pair in its segment: its English, nothing, another pair's English."""
WINDOW = 16 << 20
"""Tokens that are packed together."""
Row = list[Piece]


def context_rows(english: dict[str, Piece], korean: dict[str, Piece], kind: str, row: int) -> list[Row]:
    """Rows of one held-out pair each, after one of CONTEXTS. Only Korean counts, but for its first token, which nothing
    precedes in a segment of its own: so every kind of context is scored on the very same tokens.

    Raises DataError where fewer than two pairs fit into rows.
    """
    names = [name for name in korean if name in english and len(english[name]) + len(korean[name]) <= row]
    if len(names) < 2:
        raise DataError(f"fewer than two held-out pairs fit into rows of {row} tokens.")
    others = dict(zip(names, names[1:] + names[:1], strict=True))
    rows = []
    for name in names:
        room = row - len(korean[name])
        before = english[others[name] if kind == "other" else name]
        before = before.part(max(len(before) - room, 0), len(before))
        unlearnt = Piece(before.tokens, before.document, "en", before.offset, ((0, len(before)),))
        rows.append([unlearnt, Piece(korean[name].tokens, korean[name].document, "ko", 0, ((0, 1),))])
    return rows


def one_language_rows(documents: list[dict[str, Piece]], beside: Path, seed: int) -> list[Row]:
    """All documents, those of each language in rows of their own, in random company.

    Args:
        beside: rows that have padding; these have as many tokens on average, so that equal tokens are equal steps and
            a token sees as many others.
    """
    longest = round(float(RowFile(beside).lengths.mean()))
    rows = []
    for of_language in documents:
        packer = BestFit(longest, WINDOW, seed)
        for document in of_language.values():
            for unit in cut(document, longest):
                rows += packer.add(unit)
        rows += packer.finish()
    return rows


def write_rows(prefix: Path, source: Path, rows: list[Row], form: RowFormat) -> None:
    """Rows as a shard with the tokenizer of `source`."""
    described: dict[str, Any] = {"name": "rows of pairs", "options": {}, "inputs": []}
    with workplace(prefix) as directory:
        reader = ShardReader(source)
        with RowSink(directory / prefix.name, reader.dtype, read_manifest(source), described, form) as sink:
            for row in rows:
                sink.add(row)
            sink.finish(None)
            publish_shards(directory, [prefix])


def documents_by_id(prefix: Path, language: str) -> dict[str, Piece]:
    """id -> the tokens of its document, of a small shard."""
    reader, index = ShardReader(prefix), IndexFile.open(prefix)
    offsets = index.offsets(0, reader.documents)
    names = [name for batch in read_metadata(prefix, 1 << 16, ["id"]) or () for name in batch.column("id").to_pylist()]
    tokens = reader.read(0, reader.tokens)
    parts = np.split(tokens, offsets[1:-1])
    return {name: Piece(part, number, language) for number, (name, part) in enumerate(zip(names, parts, strict=True))}
