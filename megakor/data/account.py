"""The account of a run, computed from its ledger: what was read of each source and each language, and under what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from megakor.config.ramp import Ramp, mean_shares
from megakor.data.documents import documents_begun, positions_read
from megakor.data.ledger import read_ledger, surviving
from megakor.data.source import Source

Line = dict[str, Any]


@dataclass
class Total:
    """What was read of a source or a language.

    `tokens` were trained on and `skipped` were consumed without training; `epochs` and `blocks` count both. `unread` is
    the rest of the present epoch of `epoch_tokens`, `outside` what its subset leaves out, and `tails` what no epoch
    reaches. `documents` counts those whose first token was read, once per epoch; None where the shards are not on this
    machine. It is exact unless `documents_estimated`.
    """

    name: str
    language: str
    tokens: int = 0
    skipped: int = 0
    share: float = 0.0
    blocks: int = 0
    epochs: float = 0.0
    epoch_tokens: int = 0
    unread: int = 0
    outside: int = 0
    tails: int = 0
    documents: int | None = 0
    documents_estimated: bool = False


@dataclass
class Range:
    """A stretch of the token clock that was read under one schedule, and what each source gave in it.

    `weights` are those at the beginning of the phase, `intended` the mean shares of the stretch, and `replay` the
    intended and the realised share of general text, None where there is none.
    """

    phase: str
    schedule: str
    clock: list[int]
    sequence_length: int
    weights: dict[str, float]
    tokens: dict[str, int] = field(default_factory=dict)
    intended: dict[str, float] = field(default_factory=dict)
    replay: list[float] | None = None


@dataclass
class Account:
    """What a run has read, by source, by language and by stretch of the token clock."""

    tokens: int
    attempts: int
    superseded_tokens: int
    sources: list[Total]
    languages: list[Total]
    ranges: list[Range]

    def to_json(self) -> dict[str, Any]:
        """As plain values, for `megakor ledger --json`."""
        return asdict(self)


def account(path: Path) -> Account:
    """The account of the ledger at `path`. Raises DataError where it cannot be read."""
    lines = read_ledger(path)
    attempts = [line for line in lines if line["kind"] == "attempt"]
    kept = surviving(lines)
    by_source: dict[str, list[Line]] = defaultdict(list)
    for line in kept:
        by_source[line["source"]].append(line)
    windows = {line["attempt"]: line["window_blocks"] for line in attempts}
    described = described_sources(attempts)
    present = {fields["id"] for fields in attempts[-1]["sources"]} if attempts else set()
    totals = [
        _source_total(source, by_source[key], windows)
        for key, source in described.items()
        if key in present or by_source[key]
    ]
    consumed = sum(line["tokens"] for line in kept)
    _set_shares(totals)
    return Account(
        tokens=consumed,
        attempts=len(attempts),
        superseded_tokens=sum(line["tokens"] for line in lines if line["kind"] == "data") - consumed,
        sources=totals,
        languages=_language_totals(totals),
        ranges=_ranges(kept, _schedules(lines)),
    )


def described_sources(attempts: Iterable[Line]) -> dict[str, Source]:
    """Every source that an attempt listed, by id, as the latest of them described it."""
    sources: dict[str, Source] = {}
    for line in attempts:
        for fields in line["sources"]:
            sources[fields["id"]] = Source.from_description(fields, line["seed"], line["block_length"])
    return sources


def _source_total(source: Source, lines: list[Line], windows: dict[int, int]) -> Total:
    total = Total(source.name, source.language, tails=source.tail_tokens)
    total.tokens = sum(line["tokens"] for line in lines if line["use"] == "read")
    total.skipped = sum(line["tokens"] for line in lines if line["use"] == "skipped")
    total.blocks = positions_read(lines) // source.block_length
    epoch, generations = max(((line["epoch"], line["generations"]) for line in lines), default=(0, 1))
    in_epoch = [line for line in lines if line["epoch"] == epoch]
    positions, read = source.epoch_positions(epoch, generations), positions_read(in_epoch)
    total.epoch_tokens = source.epoch_tokens(generations, epoch)
    # A subset of padded rows has about these tokens: what is left of it is known to be nothing only at its end.
    total.unread = max(0, total.epoch_tokens - sum(line["tokens"] for line in in_epoch)) if read < positions else 0
    total.outside = sum(part.real_tokens for part in source.generations[:generations]) - total.epoch_tokens
    total.epochs = epoch + read / positions
    total.documents, total.documents_estimated = documents_begun(source, lines, windows)
    return total


def _set_shares(totals: list[Total]) -> None:
    tokens = sum(total.tokens for total in totals)
    for total in totals:
        total.share = total.tokens / tokens if tokens else 0.0


def _language_totals(sources: list[Total]) -> list[Total]:
    languages: dict[str, Total] = {}
    for source in sources:
        total = languages.setdefault(source.language, Total(source.language, source.language))
        for key in ("tokens", "skipped", "share", "blocks", "epoch_tokens", "unread", "outside", "tails"):
            setattr(total, key, getattr(total, key) + getattr(source, key))
        total.documents = _sum_known(total.documents, source.documents)
        total.documents_estimated |= source.documents_estimated
    for total in languages.values():
        total.epochs = (total.tokens + total.skipped) / total.epoch_tokens
    return list(languages.values())


def _sum_known(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


def _schedules(lines: list[Line]) -> dict[str, Line]:
    """What every hash of a schedule stands for."""
    planned = {key: found for line in lines if line["kind"] == "attempt" for key, found in line["schedules"].items()}
    return planned | {line["schedule"]: line["described"] for line in lines if line["kind"] == "schedule"}


def _ranges(kept: list[Line], schedules: dict[str, Line]) -> list[Range]:
    """Surviving lines put together as long as the schedule stays the same."""
    ranges: list[Range] = []
    for line in sorted(kept, key=lambda line: line["clock"]):
        if not ranges or ranges[-1].schedule != line["schedule"]:
            weights = schedules[line["schedule"]]["weights"]
            length, clock = line["sequence_length"], list(line["clock"])
            ranges.append(Range(line["phase"], line["schedule"], clock, length, weights))
        latest = ranges[-1]
        latest.clock[1] = max(latest.clock[1], line["clock"][1])
        latest.tokens[line["name"]] = latest.tokens.get(line["name"], 0) + line["tokens"]
    for entry in ranges:
        _intend(entry, schedules[entry.schedule])
    return ranges


def _intend(entry: Range, described: dict[str, Any]) -> None:
    """Put what the schedule meant beside what was read."""
    ramp = Ramp.from_description(described["ramp"]) if "ramp" in described else None
    entry.intended = mean_shares(entry.weights, ramp, *entry.clock)
    replayed = described.get("replay")
    if replayed:
        realised = sum(entry.tokens.get(name, 0) for name in replayed) / sum(entry.tokens.values())
        entry.replay = [sum(entry.intended.get(name, 0.0) for name in replayed), realised]
