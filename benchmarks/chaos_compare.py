"""Files of two runs, compared: the ledger, the surviving lines of metrics.jsonl, the weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from megakor.checkpoint.listing import list_checkpoints, verify_checkpoint
from megakor.data.account import account
from megakor.data.audit import audit
from megakor.data.ledger import read_ledger
from megakor.data.ledger import surviving as surviving_lines
from megakor.report.metrics import read_metrics, surviving

OF_THE_CLOCK = {"time", "seconds", "tokens_per_second", "mfu", "host_peak_bytes", "device_peak_bytes"}
"""Fields that no two runs have alike."""
CONDITIONS = ("source", "generation", "generations", "epoch", "use", "phase", "schedule", "sequence_length")
"""Of a line of the ledger; the rest of it is where it begins and ends."""
COMPARED = ("train", "validation", "probe", "gap")
"""Kinds of lines. Events tell of attempts, and times of ranks of the machine."""


def differences(calm: Path, chaos: Path, tokens: int) -> list[str]:
    """Sentences; none if all is alike."""
    return [*_ledger(calm, chaos, tokens), *_metrics(calm, chaos), *_weights(calm, chaos)]


def _ledger(calm: Path, chaos: Path, tokens: int) -> list[str]:
    faults = audit(chaos / "ledger.jsonl", tokens)
    whole, found = (asdict(account(run / "ledger.jsonl")) for run in (calm, chaos))
    of_attempts = {"attempts", "superseded_tokens"}
    if _places(calm) != _places(chaos):
        faults.append("ledger: other places were read, or in another order")
    return faults + [f"ledger: {key} differs" for key in whole if key not in of_attempts and whole[key] != found[key]]


def _places(run: Path) -> dict[tuple[Any, ...], list[tuple[int, int]]]:
    """What was read of every source under every schedule, position by position, however many lines tell of it."""
    places: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for line in surviving_lines(read_ledger(run / "ledger.jsonl")):
        stretches = places.setdefault(tuple(line[name] for name in CONDITIONS), [])
        first, end = line["position"]
        if stretches and stretches[-1][1] == first:
            first = stretches.pop()[0]
        stretches.append((first, end))
    return places


def _metrics(calm: Path, chaos: Path) -> list[str]:
    whole, found = (_lines(run) for run in (calm, chaos))
    faults = []
    for kind in COMPARED:
        wanted, got = ([line for line in lines if line["kind"] == kind] for lines in (whole, found))
        if len(wanted) != len(got):
            faults.append(f"metrics: {len(got)} lines of kind {kind}, not {len(wanted)}")
        unequal = [one["tokens"] for one, other in zip(wanted, got, strict=False) if one != other]
        if unequal:
            faults.append(f"metrics: {len(unequal)} lines of kind {kind} differ, the first at {unequal[0]:,} tokens")
    return faults


def _lines(run: Path) -> list[dict[str, Any]]:
    lines = surviving(read_metrics(run / "metrics.jsonl"))
    lines.sort(key=lambda line: line.get("tokens", 0))
    return [{key: value for key, value in line.items() if key not in OF_THE_CLOCK} for line in lines]


def _weights(calm: Path, chaos: Path) -> list[str]:
    wanted, got = (list_checkpoints(run / "checkpoints")[-1] for run in (calm, chaos))
    faults = [*verify_checkpoint(got.path).damage]
    if (wanted.step, wanted.tokens) != (got.step, got.tokens):
        faults.append(f"the newest checkpoint is of step {got.step}, not {wanted.step}")
    hashes = [{file.name: file.sha256 for file in one.manifest.files} for one in (wanted, got)]
    for name in sorted({*hashes[0], *hashes[1]}):
        if name.endswith(".distcp") and hashes[0].get(name) != hashes[1].get(name):
            faults.append(f"weights: {name} differs")
    stream = [json.loads((one.path / "state.json").read_text())["stream"] for one in (wanted, got)]
    return faults + (["the place in the data differs"] if stream[0] != stream[1] else [])
