"""When a run saves because its time is nearly up."""

from __future__ import annotations

import pytest

from megakor.resilience.time_limit import SLURM_END, saving_time

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("minutes", "environment", "saves_at"),
    [
        (None, {}, None),
        (None, {SLURM_END: ""}, None),
        (None, {SLURM_END: "Unknown"}, None),
        (60.0, {}, NOW + 3600 - 180),
        (None, {SLURM_END: "1007200"}, NOW + 7200 - 180),
        (60.0, {SLURM_END: "1007200"}, NOW + 3600 - 180),
        (120.0, {SLURM_END: "1003600"}, NOW + 3600 - 180),
    ],
)
def test_the_earliest_limit_counts(minutes: float | None, environment: dict[str, str], saves_at: float | None) -> None:
    assert saving_time(minutes, 180.0, environment, NOW) == saves_at


def test_a_job_too_short_to_save_before_its_end_works_for_half_of_it() -> None:
    assert saving_time(None, 180.0, {SLURM_END: "1000060"}, NOW) == NOW + 30
