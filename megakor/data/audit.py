"""Checks a ledger: no position read twice within an epoch, none lost, and every token of the clock accounted for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from megakor.data.account import described_sources
from megakor.data.ledger import read_ledger, surviving
from megakor.data.source import Source

Line = dict[str, Any]


def audit(path: Path, tokens_consumed: int | None = None) -> list[str]:
    """Sentences about what is wrong with the surviving lines of a ledger; none if all is well.

    Args:
        tokens_consumed: of the run, if known: the lines must add up to it.
    """
    lines = read_ledger(path)
    kept = surviving(lines)
    sources = described_sources(line for line in lines if line["kind"] == "attempt")
    faults = [fault for key, source in sources.items() for fault in _source_faults(source, _lines_of(kept, key))]
    booked = sum(line["tokens"] for line in kept)
    if tokens_consumed is not None and booked != tokens_consumed:
        faults.append(f"the ledger accounts for {booked:,} tokens, the run has consumed {tokens_consumed:,}")
    return faults


def _lines_of(kept: list[Line], source_id: str) -> list[Line]:
    return [line for line in kept if line["source"] == source_id]


def _source_faults(source: Source, lines: list[Line]) -> list[str]:
    stretches: dict[tuple[int, int], list[Line]] = defaultdict(list)
    for line in lines:
        stretches[line["epoch"], line["generation"]].append(line)
    faults: list[str] = []
    for (epoch, generation), stretch in stretches.items():
        place = f"source {source.name}, epoch {epoch}, generation {generation}"
        reached = 0
        for start, stop in sorted(line["position"] for line in stretch):
            if start != reached:
                fault = "were read twice" if start < reached else "were lost"
                faults.append(f"{place}: positions {min(start, reached):,} to {max(start, reached):,} {fault}")
            reached = max(reached, stop)
        last = max(stretches) == (epoch, generation)
        size = source.epoch_blocks(epoch, stretch[0]["generations"])[generation] * source.block_length
        if reached > size or (reached < size and not last):
            faults.append(f"{place}: {reached:,} of {size:,} positions were read before the next one began")
    return faults
