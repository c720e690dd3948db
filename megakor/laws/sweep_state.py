"""How far the runs of a sweep have come, by what is on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from megakor.checkpoint.base import CHECKPOINTS
from megakor.checkpoint.listing import checkpoint_directories, our_directories
from megakor.config.load import load_config, plain
from megakor.errors import ConfigError
from megakor.laws.sweep_plan import PlannedRun
from megakor.laws.sweep_runs import METRICS, Roles, mean_loss
from megakor.report.metrics import read_metrics, surviving
from megakor.report.records import ValidationRecord, evaluations
from megakor.storage import storage_errors

MAY_CHANGE = (
    "run.dir",
    "device",
    "cluster",
    "parallel",
    "train.tokens",
    "train.micro_batch_size",
    "train.recompute",
    "evaluation.every",
    "checkpoint",
    "report",
    "resilience.grace_seconds",
    "resilience.time_limit_minutes",
    "resilience.stop_before_seconds",
    "resilience.hang",
    "resilience.stragglers",
    "model.vocabulary_size",
)
"""Keys that may differ between the attempts of a run: what it measures stays the same."""

Evaluations = dict[int, list[ValidationRecord]]


def measured(run: PlannedRun) -> Evaluations:
    """Its evaluations so far, by tokens. Raises DataError."""
    path = run.directory / METRICS
    return evaluations(surviving(read_metrics(path))) if path.exists() else {}


def is_finished(run: PlannedRun, found: Evaluations) -> bool:
    """Whether it was evaluated at its end."""
    return max(found, default=-1) >= run.config.train.tokens


def state_text(run: PlannedRun, found: Evaluations) -> str:
    """For whoever plans."""
    if is_finished(run, found):
        return "finished"
    if not found:
        return "to run"
    saved = checkpoint_directories(run.directory / CHECKPOINTS)
    return f"goes on from {saved[-1].name}" if saved else "from its start again (it has no checkpoint)"


def check_unchanged(run: PlannedRun) -> None:
    """Raises ConfigError when a run that is there was started with other settings."""
    path = run.directory / "config.yaml"
    if not path.is_file():
        return
    then, now = dict(_leaves(plain(load_config(path)))), dict(_leaves(plain(run.config)))
    different = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key) and not _may_change(key)]
    if different:
        lines = "\n".join(f"  {key}: {then.get(key)!r} then, {now.get(key)!r} now" for key in different)
        raise ConfigError(
            f"{path.parent} was started with other settings, and the runs of a sweep differ in their ratio only:\n"
            f"{lines}\nGive them as they were (--warmup and --base, too), or choose another --output."
        )


def drop_checkpoints(run: PlannedRun) -> None:
    """Remove the checkpoints of a finished run. Raises StorageError."""
    for path in our_directories(run.directory / CHECKPOINTS):
        with storage_errors(path):
            shutil.rmtree(path)


def changes(found: Evaluations, roles: Roles, place: str) -> tuple[int, float, float]:
    """(tokens, change of the general loss, of the domain loss) from the first evaluation to the last.

    Raises DataError.
    """
    first, last = min(found), max(found)
    general, domain = (
        mean_loss(found[last], names, place) - mean_loss(found[first], names, place)
        for names in (roles.general, roles.domain)
    )
    return last, general, domain


def _leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if items is None:
        yield key, values
        return
    for name, inner in items:
        yield from _leaves(inner, f"{key}.{name}" if key else str(name))


def _may_change(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in MAY_CHANGE)
