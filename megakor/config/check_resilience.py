"""Stop requests, hung ranks and numbers that go wrong: settings that cannot work together."""

from __future__ import annotations

from megakor.config.problems import Problem
from megakor.config.schema import Config


def check_resilience(config: Config) -> list[Problem]:
    """Limits that contradict each other."""
    return [*_time_limit(config), *_anomalies(config)]


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


def _anomalies(config: Config) -> list[Problem]:
    settings, place = config.resilience.anomalies, "resilience.anomalies"
    actions = {kind: getattr(settings, kind) for kind in ("not_finite", "loss_spike", "gradient_spike")}
    problems = []
    if settings.least > settings.window:
        what = f"Spikes are looked for after {settings.least} steps, and only {settings.window} are remembered."
        fix = f"set {place}.least to {settings.window} or less."
        problems.append(Problem((f"{place}.least", f"{place}.window"), what, "", fix))
    for kind, action in actions.items():
        if action == "skip_data" and settings.skip_tokens is None:
            what = "Data are to be passed over, and it is not said how much."
            fix = f"set {place}.skip_tokens, such as 100 batches, or {place}.{kind}=skip_update."
            problems.append(Problem((f"{place}.skip_tokens", f"{place}.{kind}"), what, "", fix))
        if action == "rollback":
            problems += _rollback(config, f"{place}.{kind}")
    return problems


def _rollback(config: Config, key: str) -> list[Problem]:
    back, keep = config.resilience.anomalies.back, config.checkpoint.keep
    if config.checkpoint.every is None:
        what = "The run is to go back to a checkpoint, and writes none on its way."
        return [Problem((key, "checkpoint.every"), what, "", "set checkpoint.every.")]
    if keep and back > keep:
        keys = ("resilience.anomalies.back", "checkpoint.keep", key)
        what = f"The run is to go back by {back} checkpoints, and keeps {keep}."
        return [Problem(keys, what, "", f"set checkpoint.keep to {back} or more.")]
    return []
