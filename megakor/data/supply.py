"""What the sources of a config can give, as far as this machine knows: from shards, or from their manifests alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from megakor.config.phases import block_length, steps_of
from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.corpus.manifest import VALIDATION_SUFFIX, Manifest, read_manifest
from megakor.corpus.shard import bin_path, idx_path
from megakor.curriculum.plan import Plan, Supply, plan_of
from megakor.curriculum.plan_text import plan_lines
from megakor.curriculum.resolve import Known, fitted_ratios
from megakor.curriculum.schedule import Schedule
from megakor.data.order import beginning, tokens_left
from megakor.data.source import Source
from megakor.data.sources import open_sources, shard_prefixes
from megakor.errors import MegakorError


def dry_run_plan(config: Config) -> list[str]:
    """The plan of a config as lines of text, or why there is none. Raises nothing for data that are not here."""
    supplies, notes = supplies_of(config)
    needed = [name for name in config.data.sources if name not in supplies]
    try:
        plan = make_plan(config, supplies)
    except MegakorError as error:
        return ["Plan", *(f"  {note}" for note in notes), f"  none: {error}"]
    except KeyError:
        return ["Plan", f"  none: a rule needs the sizes of its sources, and this machine has none of {needed[0]}."]
    if not supplies:
        return []
    languages = {name: source.language for name, source in config.data.sources.items()}
    return [*plan_lines(plan, supplies, languages), *notes]


def make_plan(config: Config, supplies: dict[str, Supply]) -> Plan:
    """The plan of a checked config.

    Raises:
        MegakorError: a rule cannot be met, or a fitted file cannot be read.
        KeyError: a rule needs the size of a source that has no supply.
    """
    sizes = {name: supply.epoch_tokens for name, supply in supplies.items()}
    schedule = Schedule.compile(config, Known(sizes, fitted_ratios(config)))
    steps = [replace(counted, phase=schedule.phases[counted.phase.index]) for counted in steps_of(config)]
    return plan_of([counted for counted in steps if counted.steps], supplies)


def supplies_of(config: Config) -> tuple[dict[str, Supply], list[str]]:
    """What each source that this machine knows can give, and a note for each that is here but cannot be read."""
    supplies, notes = {}, []
    for name, described in config.data.sources.items():
        try:
            supply = _supply(config, name, described)
        except MegakorError as error:
            notes.append(f"{name}: {error}")
            continue
        if supply is not None and supply.epoch_tokens > 0:
            supplies[name] = supply
    return supplies, notes


def _supply(config: Config, name: str, described: SourceConfig) -> Supply | None:
    prefixes = _prefixes(name, described)
    if prefixes and all(idx_path(prefix).is_file() and bin_path(prefix).is_file() for prefix in prefixes):
        alone = replace(config, data=replace(config.data, sources={name: described}))
        return _of_source(open_sources(alone, block_length(config)).named(name))
    manifests = [manifest for manifest in map(read_manifest, prefixes) if manifest is not None]
    if not prefixes or len(manifests) < len(prefixes):
        return None
    return _of_manifests(manifests, described, block_length(config))


def _prefixes(name: str, described: SourceConfig) -> list[Path]:
    path = Path(described.path)
    if not path.is_dir() or any(path.glob("*.idx")):
        return shard_prefixes(name, described)
    manifests = (file.with_suffix("") for file in sorted(path.glob("*.json")))
    return [prefix for prefix in manifests if not prefix.name.endswith(VALIDATION_SUFFIX)]


def _of_source(source: Source) -> Supply:
    epoch = source.epoch_tokens(len(source.generations))
    positions = tokens_left(source, beginning(source))
    per_position = source.mean_row / source.block_length
    tokens = sum(generation.real_tokens + generation.tail_tokens for generation in source.generations)
    documents = sum(shard.documents for shard in source.shards()) * epoch / tokens
    cap = math.inf if positions is None else positions * per_position
    return Supply(epoch, round(documents), cap, source.exhausted)


def _of_manifests(manifests: Sequence[Manifest], described: SourceConfig, block: int) -> Supply:
    """As far as manifests tell: a row with padding counts as full."""
    blocks = sum(max(manifest.tokens - 1, 0) // block for manifest in manifests)
    chosen = min(blocks, described.subset.tokens // block) if described.subset else blocks
    documents = sum(manifest.documents for manifest in manifests) * chosen * block
    cap = math.inf if described.epochs is None else int(described.epochs * chosen) * block
    tokens = sum(manifest.tokens for manifest in manifests)
    return Supply(chosen * block, round(documents / tokens) if tokens else 0, cap, described.exhausted)
