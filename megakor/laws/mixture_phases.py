"""The phases of a config with another share of domain text in one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from megakor.config.include import read_tree
from megakor.config.phases import phases_of
from megakor.config.replay import replayed_sources
from megakor.config.schema import Config
from megakor.errors import ConfigError
from megakor.laws.sweep_runs import DOMAIN, GENERAL


def phases_with_ratio(path: Path, config: Config, index: int, ratio: float) -> list[dict[str, Any]]:
    """`data.phases` as plain values, as written in the file but for the mixture of phase `index`.

    `ratio` is the share of domain text among domain and general text; sources of other kinds keep their share. Raises
    ConfigError when the phase cannot take a ratio.
    """
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(read_tree(path).values, resolve=False)
    phases: list[dict[str, Any]] = list((values.get("data") or {}).get("phases") or [{"name": "main"}])
    phases[index] = _with_ratio(dict(phases[index]), config, index, ratio)
    return phases


def _with_ratio(phase: dict[str, Any], config: Config, index: int, ratio: float) -> dict[str, Any]:
    span = phases_of(config)[index]
    if span.rule is not None or span.ramp is not None:
        raise ConfigError(
            f"data.phases.{index} ({span.name}): its weights come from a rule or a ramp. A critical ratio is one "
            "constant share; give the phase plain weights."
        )
    replay = config.data.phases[index].replay if config.data.phases else None
    if replay is None:
        phase["weights"] = _weights(config, index, span.weights, ratio)
        return phase
    replayed = replayed_sources(replay, config.data.sources)
    wrong = [name for name in replayed if GENERAL not in config.data.sources[name].tags]
    others = _others(config, phase.get("weights") or {}, replayed)
    if wrong or others:
        named = ", ".join([*wrong, *others])
        raise ConfigError(
            f"data.phases.{index}.replay: {named} would be counted wrongly: replayed sources need the tag {GENERAL}, "
            f"the others the tag {DOMAIN}. Tag them, or replace replay by weights."
        )
    kept = {key: value for key, value in phase["replay"].items() if key in ("source", "tag", "controller")}
    phase["replay"] = {**kept, "ratio": _rounded(1 - ratio)}
    return phase


def _others(config: Config, weights: Mapping[str, Any], replayed: tuple[str, ...]) -> list[str]:
    return [name for name in weights if name not in replayed and DOMAIN not in config.data.sources[name].tags]


def _weights(config: Config, index: int, shares: Mapping[str, float], ratio: float) -> dict[str, float]:
    """Shares of all sources: both kinds divide their part as they did, or equally where a kind had nothing."""
    sources = config.data.sources
    groups = {
        tag: {name: shares.get(name, 0.0) for name in sources if tag in sources[name].tags} for tag in (DOMAIN, GENERAL)
    }
    missing = [tag for tag, group in groups.items() if not group]
    if missing:
        raise ConfigError(
            f"data.phases.{index}: no source has the tag {' or '.join(missing)}. Tag the sources of this config as "
            "those of the sweep were (data.sources.NAME.tags)."
        )
    known = {name for group in groups.values() for name in group}
    rest = {name: share for name, share in shares.items() if name not in known}
    both = 1.0 - math.fsum(rest.values())
    parts = {DOMAIN: ratio * both, GENERAL: (1 - ratio) * both}
    weights = {
        name: _rounded(part) for tag, group in groups.items() for name, part in divided(group, parts[tag]).items()
    }
    return weights | {name: _rounded(share) for name, share in rest.items()}


def divided(group: Mapping[str, float], part: float) -> dict[str, float]:
    """`part` over a group of sources by their shares, or equally where none has one."""
    total = math.fsum(group.values())
    if total <= 0:
        return {name: part / len(group) for name in group}
    return {name: part * share / total for name, share in group.items() if share > 0}


def _rounded(share: float) -> float:
    """Four digits: R* is never known better."""
    return round(share, 4)
