"""The steps of an experiment: in their order, each only where it was asked for, and a pilot only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from english_base import frozen_base, pilot_base
from material import Material
from options import STEPS, Options
from record import Frozen, freeze, read_frozen

Choice = tuple[dict[str, Any], Sequence[str], Sequence[dict[str, Any]]]
"""What a pilot chose, by which rules, and what it tried."""


def take_steps(options: Options, work: Mapping[str, Callable[[], object]]) -> None:
    """Do the steps that were asked for. `work` has one entry for each of STEPS."""
    for step in STEPS:
        if step in options.steps:
            work[step]()


def pilot_once(options: Options, material: Material, choose: Callable[[], Choice]) -> Frozen:
    """Freeze what `choose` finds, after the pilot of the base; what is frozen already is not chosen again."""
    pilot_base(options, material)
    if options.frozen.exists():
        return read_frozen(options.frozen)
    return freeze(options.frozen, *choose())


def all_frozen(options: Options, name: str) -> dict[str, Frozen]:
    """Of the base and of this experiment, by what they are of. Raises ConfigError where a pilot has not been run."""
    return {"base model": frozen_base(options), name: read_frozen(options.frozen)}
