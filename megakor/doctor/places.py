"""Ranks and the nodes that they are on, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """One rank of a run."""

    rank: int
    host: str


def described(places: Iterable[Place]) -> str:
    """ "node17 (ranks 8-15), node18 (rank 16)"."""
    by_host: dict[str, list[int]] = {}
    for place in sorted(places):
        by_host.setdefault(place.host, []).append(place.rank)
    return ", ".join(f"{host} ({rank_words(ranks)})" for host, ranks in by_host.items())


def rank_words(ranks: list[int]) -> str:
    """[0, 1, 2, 5] -> "ranks 0-2, 5"."""
    stretches: list[list[int]] = []
    for rank in ranks:
        if stretches and rank == stretches[-1][-1] + 1:
            stretches[-1].append(rank)
        else:
            stretches.append([rank])
    words = [str(ends[0]) if len(ends) == 1 else f"{ends[0]}-{ends[-1]}" for ends in stretches]
    return f"rank{'' if len(ranks) == 1 else 's'} {', '.join(words)}"
