"""When a run has to save because its time is nearly up."""

from __future__ import annotations

from collections.abc import Mapping

SLURM_END = "SLURM_JOB_END_TIME"
"""Seconds since 1970. Slurm 22.05.8 does not set it; slurm/shared.sh then asks squeue for it."""


def saving_time(
    limit_minutes: float | None, before_seconds: float, environment: Mapping[str, str], now: float
) -> float | None:
    """When to save and ask for a requeue (seconds since 1970); None where nothing limits the run.

    Where so little time is left that the run would save at once, it works for half of it: else a job with a short limit
    would be requeued for ever.

    Args:
        limit_minutes: from now.
        before_seconds: how long before the end.
    """
    ends = [now + 60 * limit_minutes] if limit_minutes is not None else []
    if (text := environment.get(SLURM_END, "")).isdecimal():
        ends.append(float(text))
    if not ends:
        return None
    return max(min(ends) - before_seconds, (now + min(ends)) / 2)
