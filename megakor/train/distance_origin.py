"""Where distances of weights are measured from: what the run, or its present period, began with."""

from __future__ import annotations

from typing import Any

from megakor.checkpoint.manager import CheckpointManager
from megakor.checkpoint.ranks import Ranks
from megakor.config.schema import Config
from megakor.errors import MegakorError
from megakor.report.reporter import Reporter
from megakor.train.base import Base, load_base
from megakor.train.engine import Engine
from megakor.train.state import restore_state, sharded_state
from megakor.train.weight_distance import WeightDistance


def distance_from_origin(
    config: Config,
    engine: Engine,
    checkpoints: CheckpointManager,
    saved: dict[str, Any] | None,
    reporter: Reporter,
    base: Base | None,
    ranks: Ranks,
) -> WeightDistance | None:
    """With the weights that the present period began with: those that the run begins with, or those of the checkpoint
    that was pinned there. The engine holds them afterwards, too. Collective."""
    if not config.report.weight_distance:
        return None
    first = saved.get("measuring", {}).get("period", {}).get("first", 0) if saved is not None else 0
    if saved is not None and not first and not _again(engine, base, ranks):
        reporter.event("note", text="run.base is gone, so distances of weights cannot be measured from there")
        return None
    distance = WeightDistance(engine, config.model.layers)
    if first:
        checkpoints.pin(first)
        loaded = checkpoints.load_pinned(sharded_state(engine, loading=True))
        if loaded is None:
            gone = f"the checkpoint at {first:,} tokens is gone, so distances of weights cannot be measured from there"
            reporter.event("note", text=gone)
            return None
        restore_state(engine, loaded, 0)
        distance.remember()
    return distance


def _again(engine: Engine, base: Base | None, ranks: Ranks) -> bool:
    """Give the engine the weights that the run began with; False where their checkpoint is gone."""
    try:
        if base is not None:
            load_base(engine, base, ranks)
    except MegakorError:
        return False
    return True
