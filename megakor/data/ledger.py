"""The ledger: ledger.jsonl in the run directory says which positions of which source were read, when, under what.

Lines are only ever appended. There are three kinds:

attempt  the run started or resumed at `tokens`; lists the sources. Everything that earlier attempts wrote past that
         point is superseded: it belongs to weights that were thrown away.
data     one attempt read one range of one source's order: `position` counts the order of a generation within an
         epoch, where each token takes a place and so does the padding of rows; `clock` is a range of the run's tokens,
         that of the batches they were in, and `tokens` how many there are, without padding.
schedule what a hash in later lines stands for, where a controller made it after the attempt had begun.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from megakor.data.order import Row, position_of
from megakor.data.source import Source
from megakor.data.stream import BatchPlan, TokenStream
from megakor.errors import DataError
from megakor.json_lines import cut_torn_line, not_a_line, read_json_lines
from megakor.storage import CONTINUE, storage_errors


@dataclass
class Entry:
    """One `data` line. `window` is [first, blocks, cut] of the window in which the range begins, for `replay`."""

    attempt: int
    source: str
    name: str
    language: str
    epoch: int
    generation: int
    generations: int
    position: list[int]
    clock: list[int]
    tokens: int
    rows: int
    use: str
    phase: str
    schedule: str
    sequence_length: int
    window: list[int]

    def continues(self, other: Entry) -> bool:
        """Whether `other` begins where this one ends, under the same conditions."""
        return self._conditions() == other._conditions() and self.position[1] == other.position[0]

    def _conditions(self) -> tuple[object, ...]:
        return (self.source, self.generation, self.epoch, self.use, self.schedule)


class LedgerWriter:
    """Collects what a run reads and appends it to the ledger; only one process of a run has one.

    Call `add` for every batch that was trained on or skipped, and `flush` before a checkpoint is written, so that no
    line spans a checkpoint.
    """

    def __init__(self, path: Path, stream: TokenStream) -> None:
        self.path = path
        self._sources = stream.sources
        self._schedule = ""
        self._open: dict[str, Entry] = {}
        self._done: list[Entry] = []
        earlier = read_ledger(path) if path.exists() else []
        self.attempt = sum(line["kind"] == "attempt" for line in earlier) + 1
        attempt = _attempt_line(self.attempt, stream)
        self._known = set(attempt["schedules"])
        self._append([attempt])

    def add(self, plan: BatchPlan) -> None:
        """Book one batch; a change of phase is written at once."""
        if plan.phase.hash != self._schedule:
            self.flush()
            self._schedule = plan.phase.hash
            if self._schedule not in self._known:
                self._known.add(self._schedule)
                self._append([_schedule_line(self.attempt, plan)])
        for source_id, rows in plan.taken.items():
            for entry in _entries(self._sources.by_id[source_id], rows, plan, self.attempt):
                self._add_entry(source_id, entry)

    def flush(self) -> None:
        """Write what has been collected and wait until it is on the disk. Raises StorageError."""
        entries = sorted([*self._done, *self._open.values()], key=lambda entry: (entry.clock, entry.source))
        self._open, self._done = {}, []
        if entries:
            self._append([{"kind": "data", **asdict(entry)} for entry in entries])

    def _add_entry(self, source_id: str, entry: Entry) -> None:
        last = self._open.get(source_id)
        if last is not None and last.continues(entry):
            last.position[1], last.clock[1] = entry.position[1], entry.clock[1]
            last.tokens += entry.tokens
            last.rows += entry.rows
            return
        if last is not None:
            self._done.append(last)
        self._open[source_id] = entry

    def _append(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with storage_errors(self.path, CONTINUE), self.path.open("ab") as file:
            cut_torn_line(self.path)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """All lines of a ledger; a last line that a crash cut short is left out.

    Raises:
        DataError: the file is missing, or a line in it is not one that a run writes.
    """
    lines = []
    for place, line in read_json_lines(path):
        missing = _missing_keys(line)
        if missing:
            raise not_a_line(place, f"no {', '.join(missing)}")
        lines.append(line)
    return lines


def _missing_keys(line: dict[str, Any]) -> list[str]:
    if line.get("kind") not in _KEYS:
        return ["kind"]
    return [key for key in _KEYS[line["kind"]] if key not in line]


_KEYS = {
    "attempt": ("attempt", "tokens", "seed", "block_length", "window_blocks", "schedules", "sources"),
    "data": tuple(entry.name for entry in fields(Entry)),
    "schedule": ("attempt", "tokens", "schedule", "described"),
}
"""What a line of each kind has to have."""


def surviving(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `data` lines that led to the run's present weights: each attempt supersedes what lies past its start.

    Raises:
        DataError: a line spans the point of a resume, which happens only when lines were lost or edited.
    """
    kept: list[dict[str, Any]] = []
    for line in lines:
        if line["kind"] != "attempt":
            kept += [line] if line["kind"] == "data" else []
            continue
        start = line["tokens"]
        kept = [entry for entry in kept if entry["clock"][0] < start]
        spanning = [entry for entry in kept if entry["clock"][1] > start]
        if spanning:
            raise DataError(
                f"the ledger has a line over tokens {spanning[0]['clock'][0]:,} to {spanning[0]['clock'][1]:,}, but "
                f"attempt {line['attempt']} resumed inside it, at {start:,}: lines are missing."
            )
    return kept


def _attempt_line(attempt: int, stream: TokenStream) -> dict[str, Any]:
    phases = {span.hash: span.describe() for span in stream.schedule.phases}
    described = [source.describe() for source in stream.sources]
    return {
        "kind": "attempt",
        "attempt": attempt,
        "tokens": stream.tokens_consumed,
        "seed": stream.sources.seed,
        "block_length": stream.sources.block_length,
        "window_blocks": stream.window_blocks,
        "schedules": phases,
        "sources": described,
    }


def _schedule_line(attempt: int, plan: BatchPlan) -> dict[str, Any]:
    return {
        "kind": "schedule",
        "attempt": attempt,
        "tokens": plan.start,
        "schedule": plan.phase.hash,
        "described": plan.phase.describe(),
    }


def _entries(source: Source, rows: tuple[Row, ...], plan: BatchPlan, attempt: int) -> list[Entry]:
    """The rows that one batch took of a source, as few ranges: one, unless a generation or an epoch ends in them."""
    entries: list[Entry] = []
    for row in rows:
        start = position_of(source, row.at)
        last = entries[-1] if entries else None
        if last and (last.epoch, last.generation) == (row.at.epoch, row.at.generation):
            last.position[1] = start + row.positions
            last.tokens += row.tokens
            last.rows += 1
            continue
        entries.append(
            Entry(
                attempt=attempt,
                source=source.id,
                name=source.name,
                language=source.language,
                epoch=row.at.epoch,
                generation=row.at.generation,
                generations=row.at.generations,
                position=[start, start + row.positions],
                clock=[plan.start, plan.stop],
                tokens=row.tokens,
                rows=1,
                use="skipped" if plan.skipped else "read",
                phase=plan.phase.name,
                schedule=plan.phase.hash,
                sequence_length=plan.sequence_length,
                window=[row.at.first, row.at.blocks, row.at.cut],
            )
        )
    return entries
