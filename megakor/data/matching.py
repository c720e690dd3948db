"""Finds the sources of a checkpoint again: by the content of their shards, not by path or name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from megakor.data.history import History
from megakor.data.order import Cursor
from megakor.data.source import Source, readings_from_json, regroup
from megakor.data.sources import Sources, collect_sources
from megakor.errors import DataError


def match_sources(state: dict[str, Any], sources: Sources) -> Sources:
    """Give each source the generations it had; shards that are new to it become a further generation, and another
    subset or order holds from the next epoch on.

    A source that the state knows but that has not been in the mixture yet is taken as the config has it now.

    Raises:
        DataError: a source lost some of its shards, or two sources were made one.
    """
    used = History.from_json(state["history"]).source_ids()
    known = [kept for source_id, kept in state["sources"].items() if source_id in used]
    matched = [_match(source, known) for source in sources]
    return collect_sources(matched, sources.seed, sources.block_length, sources.notes)


def _match(source: Source, known: list[dict[str, Any]]) -> Source:
    present = {shard.fingerprint(): shard for shard in source.shards()}
    candidates = [kept for kept in known if present.keys() & _fingerprints(kept)]
    if not candidates:
        return source
    if len(candidates) > 1:
        names = "', '".join(kept["name"] for kept in candidates)
        raise DataError(
            f"data.sources.{source.name} holds shards of '{names}', which have been sources of their own. "
            "Keep them apart."
        )
    kept = candidates[0]
    missing = _fingerprints(kept) - present.keys()
    if missing:
        raise DataError(
            f"data.sources.{source.name} has lost {len(missing)} of the {len(_fingerprints(kept))} shards that source "
            f"'{kept['name']}' had (or they changed). Put them back, or drop the source wholly."
        )
    groups = [[present.pop(fingerprint) for fingerprint in group] for group in kept["generations"]]
    return _keep_readings(regroup(source, [*groups, list(present.values())] if present else groups), kept)


def _keep_readings(source: Source, kept: dict[str, Any]) -> Source:
    """The epochs that were begun are read as they were; another reading of the config follows them."""
    before, now = readings_from_json(kept), source.readings[-1]
    cursor = Cursor(*kept["cursor"])
    begun = cursor.epoch + bool(cursor.blocks)
    earlier = tuple(reading for reading in before if reading.first_epoch < begun)
    if before[-1].same_as(now):
        return replace(source, readings=before)
    if earlier and earlier[-1].same_as(now):
        return replace(source, readings=earlier)
    return replace(source, readings=(*earlier, replace(now, first_epoch=begun)))


def _fingerprints(kept: dict[str, Any]) -> set[str]:
    return {fingerprint for group in kept["generations"] for fingerprint in group}
