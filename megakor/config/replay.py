"""Replay: which sources are general text, and how their ratio and the weights of the others become one mixture."""

from __future__ import annotations

from collections.abc import Mapping

from megakor.config.ramp import shares_of
from megakor.config.schema_data import ReplayConfig, SourceConfig


def replayed_sources(replay: ReplayConfig | None, sources: Mapping[str, SourceConfig]) -> tuple[str, ...]:
    """The sources that `replay` names, directly or by their tag, in the order of the config."""
    if replay is None:
        return ()
    return tuple(
        name
        for name, source in sources.items()
        if name == replay.source or (replay.tag is not None and replay.tag in source.tags)
    )


def with_replay(weights: Mapping[str, float], replayed: tuple[str, ...], ratio: float) -> dict[str, float]:
    """Shares of all sources when the `replayed` ones have `ratio` of the tokens together.

    Each of the two groups divides its part by its weights; replayed sources equally when none of them has one.
    """
    general = {name: weights.get(name, 0.0) for name in replayed}
    if not any(general.values()):
        general = dict.fromkeys(replayed, 1.0)
    others = {name: weight for name, weight in weights.items() if name not in replayed}
    parts = [(others, 1.0 - ratio), (general, ratio)]
    return {name: share * part for group, part in parts if part > 0 for name, share in shares_of(group).items()}
