"""Stop requests, hung ranks and numbers that go wrong: settings that cannot work together."""

from __future__ import annotations

from megakor.config.problems import Problem
from megakor.config.schema import Config


def check_resilience(config: Config) -> list[Problem]:
    """Limits that contradict each other."""
    return [*_time_limit(config)]


def _time_limit(config: Config) -> list[Problem]:
    limits = config.resilience
    keys = ("resilience.stop_before_seconds", "resilience.time_limit_minutes")
    if limits.time_limit_minutes is not None and limits.stop_before_seconds >= 60 * limits.time_limit_minutes:
        what = (
            f"The run is to save {limits.stop_before_seconds:g} s before its limit of {limits.time_limit_minutes:g} "
            "minutes, so before it begins."
        )
        return [Problem(keys, what, "", f"set {keys[0]} to less than {60 * limits.time_limit_minutes:g}.")]
    if limits.grace_seconds > limits.stop_before_seconds:
        keys = ("resilience.grace_seconds", "resilience.stop_before_seconds")
        what = (
            f"A run may take {limits.grace_seconds:g} s to save, and begins {limits.stop_before_seconds:g} s before "
            "the time limit."
        )
        why = "The scheduler would kill it before it is ended by itself with its exit code."
        fix = f"set {keys[1]} to {limits.grace_seconds:g} or more, or lower {keys[0]}."
        return [Problem(keys, what, why, fix, "warning")]
    return []
