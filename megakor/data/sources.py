"""The sources of a run: opened from a config on one process, sent to the others as a small table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.corpus.manifest import VALIDATION_SUFFIX, Manifest, read_manifest
from megakor.corpus.row_file import SUFFIX
from megakor.corpus.shard import ShardReader, bin_path, idx_path
from megakor.data.order import Row, pieces_of
from megakor.data.reading import Reading
from megakor.data.row_shard import RowShard, has_rows, open_shard
from megakor.data.source import Piece, Source, make_generation
from megakor.errors import DataError


@dataclass(frozen=True)
class Sources:
    """Sources by id, in the order of the config. `notes` say what could not be known, for the log."""

    by_id: Mapping[str, Source]
    seed: int
    block_length: int
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Source]:
        return iter(self.by_id.values())

    def named(self, name: str) -> Source:
        """The source that the config calls so."""
        return next(source for source in self if source.name == name)

    def locate(self, row: Row) -> list[Piece]:
        """Where the tokens of a row are."""
        return pieces_of(self.by_id[row.source], row)

    def to_table(self) -> dict[str, Any]:
        """Everything a rank needs, as JSON, so that one rank opens the files and the others receive this."""
        described = [source.describe() for source in self]
        return {"seed": self.seed, "block_length": self.block_length, "sources": described, "notes": list(self.notes)}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Sources:
        """The way back from `to_table`."""
        seed, block_length = table["seed"], table["block_length"]
        sources = [Source.from_description(fields, seed, block_length) for fields in table["sources"]]
        return collect_sources(sources, seed, block_length, tuple(table["notes"]))


def collect_sources(sources: list[Source], seed: int, block_length: int, notes: tuple[str, ...] = ()) -> Sources:
    """Put sources together.

    Raises:
        DataError: a shard is in two places, so that its text would be read twice, a source has no whole block, or less
            text than its subset.
    """
    owners: dict[str, tuple[str, Path]] = {}
    for source in sources:
        if not sum(source.blocks):
            raise DataError(
                f"data.sources.{source.name}: no shard has {block_length + 1:,} tokens, a block of {block_length:,} "
                "and the token after it. Use a shorter sequence length or block_length, or more text."
            )
        _check_subset(source)
        for shard in source.shards():
            other = owners.setdefault(shard.fingerprint(), (source.name, shard.prefix))
            if other != (source.name, shard.prefix):
                raise DataError(
                    f"data.sources.{source.name}: {shard.prefix} holds the same text as {other[1]} of source "
                    f"'{other[0]}'. Keep it in one place, else it would be read twice in an epoch."
                )
    return Sources({source.id: source for source in sources}, seed, block_length, notes)


def _check_subset(source: Source) -> None:
    wanted = source.subset_blocks(source.readings[-1])
    if wanted is None or 0 < wanted <= sum(source.blocks):
        return
    tokens = source.readings[-1].subset_tokens
    there = sum(generation.real_tokens for generation in source.generations)
    fix = "Use a smaller one, or leave it out to read all" if wanted else "Use a larger one"
    raise DataError(
        f"data.sources.{source.name}.subset.tokens is {tokens:,}, and the source has {there:,} tokens in "
        f"{sum(source.blocks):,} blocks of about {source.mean_row:,}: a subset is at least a block and at most all of "
        f"it. {fix}."
    )


def open_sources(config: Config, block_length: int, tokenizer_sha256: str | None = None) -> Sources:
    """Open every source of a config: headers and manifests only.

    Args:
        config: `data.sources` and `run.seed` are read.
        block_length: the unit of order in tokens.
        tokenizer_sha256: of the run's tokenizer; shards made with another one are refused.

    Raises:
        DataError: a shard is missing, damaged, held out, or of another tokenizer.
    """
    notes: list[str] = []
    opened: list[Source] = []
    for name, described in config.data.sources.items():
        prefixes = shard_prefixes(name, described)
        for prefix in prefixes:
            notes += check_manifest(name, prefix, tokenizer_sha256)
        shards = [open_shard(prefix) for prefix in prefixes]
        _check_alike(name, shards)
        generation = make_generation(shards, block_length)
        language, tags = described.language, tuple(described.tags)
        opened.append(
            Source(
                name,
                language,
                tags,
                described.epochs,
                (generation,),
                config.run.seed,
                (Reading.configured(described),),
                described.exhausted,
            )
        )
    return collect_sources(opened, config.run.seed, block_length, tuple(notes))


def shard_prefixes(name: str, source: SourceConfig) -> list[Path]:
    """The shards of a source in reading order: one prefix, or those of a directory sorted by name."""
    path = Path(source.path)
    if not path.is_dir():
        return [path]
    prefixes = [index.with_suffix("") for index in sorted(path.glob("*.idx"))]
    training = [prefix for prefix in prefixes if not prefix.name.endswith(VALIDATION_SUFFIX)]
    if not training:
        raise DataError(f"data.sources.{name}.path: {path} is a directory without shards (no .idx file in it).")
    return training


def _check_alike(name: str, shards: Sequence[ShardReader]) -> None:
    """Either every shard of a source has rows, all of one length, or none has."""
    first = shards[0]
    for shard in shards[1:]:
        lengths = [one.row_tokens if isinstance(one, RowShard) else None for one in (first, shard)]
        if lengths[0] != lengths[1]:
            kinds = [f"rows of {length:,} tokens" if length else "no rows" for length in lengths]
            raise DataError(
                f"data.sources.{name}: {first.prefix} has {kinds[0]}, {shard.prefix} has {kinds[1]}. They are read in "
                "different ways: make them two sources, or regroup all of it alike."
            )


def check_manifest(name: str, prefix: Path, tokenizer_sha256: str | None) -> list[str]:
    """Refuse a shard that its manifest says is held out or of another tokenizer; returns what stays unknown."""
    manifest = read_manifest(prefix)
    if manifest is None:
        return [f"{prefix} has no manifest: that it belongs to this tokenizer is not checked."]
    if manifest.role == "validation":
        raise DataError(f"data.sources.{name}: {prefix} is a held-out shard; training on it is impossible.")
    check_shard(f"data.sources.{name}", prefix, manifest, tokenizer_sha256)
    return []


def check_shard(place: str, prefix: Path, manifest: Manifest, tokenizer_sha256: str | None) -> None:
    """Raises DataError, which `place` begins, for a shard that the run cannot read as what its manifest says it is.

    Compared are sizes and the tokenizer, where that is known; checksums are for `megakor corpus verify`.
    """
    if tokenizer_sha256 is not None and manifest.tokenizer_sha256 != tokenizer_sha256:
        raise DataError(
            f"{place}: {prefix} was made with another tokenizer ({manifest.tokenizer_sha256[:12]}) than "
            f"data.tokenizer ({tokenizer_sha256[:12]}). Build the shard again with this tokenizer, or set that one."
        )
    for path, size in ((bin_path(prefix), manifest.bin_bytes), (idx_path(prefix), manifest.idx_bytes)):
        if path.exists() and path.stat().st_size != size:
            raise DataError(
                f"{place}: {path} has {path.stat().st_size:,} bytes, {size:,} by its manifest {prefix.name}.json: they "
                "belong to different builds, or one was copied in part. Copy or build the shard again."
            )
    if SUFFIX.removeprefix(".") in manifest.checksums and not has_rows(prefix):
        raise DataError(
            f"{place}: {prefix} was made by `megakor corpus regroup`, but {prefix.name}{SUFFIX} is missing: without it "
            "nothing says what is padding and where documents begin. Copy it too."
        )
