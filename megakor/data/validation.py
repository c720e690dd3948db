"""Validation text: always the same first tokens of a shard, in file order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from megakor.corpus.manifest import read_manifest
from megakor.corpus.shard import ShardReader
from megakor.data.row_shard import RowShard, open_shard
from megakor.data.source import Piece
from megakor.data.sources import check_shard
from megakor.errors import DataError


@dataclass(frozen=True)
class ValidationSet:
    """One shard to evaluate on. A row is the range [start, stop) of its tokens, its padding included."""

    name: str
    language: str
    shard: ShardReader

    def row_length(self, sequence_length: int) -> int:
        """Length of its rows: as asked for, but rows of a regrouped shard are read whole."""
        return self.shard.row_tokens if isinstance(self.shard, RowShard) else sequence_length

    def rows(self, tokens: int, sequence_length: int) -> list[tuple[int, int]]:
        """Rows over the first `tokens` tokens, or over all there are; the last row may be short (it is padded).

        Of a regrouped shard, whole rows, the last one being that with the last of those tokens.
        """
        if isinstance(self.shard, RowShard):
            return self.shard.first_rows(tokens)
        stop = min(tokens, self.shard.tokens - 1)
        return [(start, min(start + sequence_length, stop)) for start in range(0, stop, sequence_length)]

    def locate(self, row: tuple[int, int]) -> list[Piece]:
        """The tokens of a row, for `read_rows`."""
        start, stop = row
        return [Piece(self.shard, start, stop - start)]


def open_validation(name: str, language: str, prefix: Path, tokenizer_sha256: str | None = None) -> ValidationSet:
    """Open a shard for evaluation.

    Raises:
        DataError: it is damaged, has no two tokens, one to predict the other, or is of another tokenizer.
    """
    shard = open_shard(prefix)
    manifest = read_manifest(prefix)
    if manifest is not None:
        check_shard(f"validation of '{name}'", prefix, manifest, tokenizer_sha256)
    if shard.tokens < 2:
        raise DataError(
            f"{prefix}.bin has {shard.tokens} tokens: validation of '{name}' needs at least 2. Hold out more."
        )
    return ValidationSet(name, language, shard)
