"""Keys that can be written down but are not carried out yet: refused, so that no run ignores what it was told."""

from __future__ import annotations

from typing import Any

from megakor.config.problems import Problem
from megakor.config.schema import Config, SourceConfig

UNBUILT_OF_SOURCES = ("exhausted", "subset", "order")


def check_unbuilt(config: Config) -> list[Problem]:
    """One problem for each such key that is not at its default."""
    sources = [(f"data.sources.{name}", source) for name, source in config.data.sources.items()]
    return [found for key, source in sources for found in _set(key, source, SourceConfig(), UNBUILT_OF_SOURCES)]


def _set(key: str, given: Any, default: Any, names: tuple[str, ...]) -> list[Problem]:
    return [
        Problem(
            (f"{key}.{name}",),
            "This key is not carried out yet.",
            "A run that ignored it would not be what the config says.",
            "leave it out.",
        )
        for name in names
        if getattr(given, name) != getattr(default, name)
    ]
