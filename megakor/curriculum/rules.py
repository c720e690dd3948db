"""Rules that make weights from the sizes of sources: temperature sampling and UniMax."""

from __future__ import annotations

from collections.abc import Mapping

from megakor.config.quantities import format_tokens
from megakor.errors import ConfigError


def temperature_weights(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Weights that go with size ^ (1 / temperature): 1 keeps the proportions, more makes them more equal.

    The exponent 1 / temperature is the alpha of multilingual sampling (mT5, arXiv 2010.11934).
    """
    largest = max(sizes.values())
    return {name: (size / largest) ** (1.0 / temperature) for name, size in sizes.items()}


def unimax_tokens(sizes: Mapping[str, int], budget: float, max_epochs: float) -> dict[str, float]:
    """Tokens of each source under UniMax (arXiv 2304.09151): the smallest source first, each gets an equal part of
    what is left of the budget, but no more than `max_epochs` passes over it."""
    tokens: dict[str, float] = {}
    left = budget
    ascending = sorted(sizes, key=lambda name: (sizes[name], name))
    for number, name in enumerate(ascending):
        tokens[name] = min(left / (len(ascending) - number), max_epochs * sizes[name])
        left -= tokens[name]
    return {name: tokens[name] for name in sizes}


def unimax_weights(sizes: Mapping[str, int], budget: float, max_epochs: float, key: str) -> dict[str, float]:
    """UniMax's tokens as weights.

    Raises:
        ConfigError: all sources together give less than the budget under the cap. `key` is the phase's, for the text.
    """
    most = max_epochs * sum(sizes.values())
    if budget > most:
        epochs = budget / sum(sizes.values())
        raise ConfigError(
            f"{key}: UniMax shall divide {format_tokens(round(budget))} tokens, and {', '.join(sizes)} give "
            f"{format_tokens(int(most))} at {key}.max_epochs of {max_epochs:g}. Set max_epochs to at least "
            f"{epochs + 0.005:.2f}, shorten the phase, or add a source."
        )
    return unimax_tokens(sizes, budget, max_epochs)
