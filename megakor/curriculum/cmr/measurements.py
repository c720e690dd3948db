"""What a sweep over mixture ratios measured: general and domain loss over tokens, one pair of curves a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megakor.errors import DataError

FORMAT = "megakor-cmr-data-1"
SAME_BASE = 1e-3
"""Runs of one base start from losses that agree to this share (kernels differ between machines)."""


@dataclass(frozen=True)
class SweepRun:
    """One run at one ratio from the common base. Losses are validation losses in nats per token."""

    name: str
    ratio: float
    """Domain tokens among domain and general tokens, above 0 and up to 1."""
    base_general: float
    """General loss before the first step."""
    base_domain: float
    tokens: tuple[int, ...]
    """Consumed, rising; after the warm-up and before any decay of the learning rate."""
    general: tuple[float, ...]
    domain: tuple[float, ...]
    seed: int | None = None


@dataclass(frozen=True)
class Measurements:
    """All runs of a sweep, by rising ratio."""

    runs: tuple[SweepRun, ...]
    general_sources: tuple[str, ...] = ()
    domain_sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", tuple(sorted(self.runs, key=lambda run: (run.ratio, run.name))))
        problems = [problem for run in self.runs for problem in _problems(run)] + _different_bases(self.runs)
        if problems:
            raise DataError("These measurements cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))

    @property
    def ratios(self) -> tuple[float, ...]:
        """The different ratios, rising."""
        return tuple(sorted({run.ratio for run in self.runs}))

    @property
    def base_general(self) -> float:
        """The mean over runs, which agree."""
        return math.fsum(run.base_general for run in self.runs) / len(self.runs)

    @property
    def base_domain(self) -> float:
        """The mean over runs, which agree."""
        return math.fsum(run.base_domain for run in self.runs) / len(self.runs)

    @property
    def last_tokens(self) -> int:
        """The longest budget that every run has reached."""
        return min(run.tokens[-1] for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """The content of a data file."""
        return {
            "format": FORMAT,
            "general_sources": list(self.general_sources),
            "domain_sources": list(self.domain_sources),
            "runs": [asdict(run) for run in self.runs],
        }


def _problems(run: SweepRun) -> list[str]:
    found = []
    if not 0 < run.ratio <= 1:
        found.append(f"the ratio is {run.ratio:g}; it is a share of domain tokens above 0 and up to 1")
    if not run.tokens:
        found.append("it has no evaluation after the warm-up")
    if not len(run.tokens) == len(run.general) == len(run.domain):
        found.append("tokens, general and domain differ in length")
    if list(run.tokens) != sorted(set(run.tokens)) or (run.tokens and run.tokens[0] <= 0):
        found.append("its tokens do not rise from above 0")
    if not all(math.isfinite(loss) for loss in (run.base_general, run.base_domain, *run.general, *run.domain)):
        found.append("a loss is not a number; leave a run that diverged out")
    return [f"{run.name}: {problem}." for problem in found]


def _different_bases(runs: Sequence[SweepRun]) -> list[str]:
    if not runs:
        return ["there is no run."]
    first = runs[0]
    return [
        f"{run.name} starts at a {name} loss of {loss:.6g}, {first.name} at {expected:.6g}: "
        "they do not come from one base, or were evaluated on different text."
        for run in runs[1:]
        for name, loss, expected in (
            ("general", run.base_general, first.base_general),
            ("domain", run.base_domain, first.base_domain),
        )
        if abs(loss - expected) > SAME_BASE * abs(expected)
    ]


def read_measurements(path: Path) -> Measurements:
    """Reads a data file, written by hand or by `megakor cmr fit --data`. Raises DataError, naming the key."""
    return measurements_of(read_json(path, "a data file"), str(path))


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The object in a JSON file. Raises DataError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as {kind}: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: {kind} is a JSON object, and this is a {type(content).__name__}.")
    return content


def measurements_of(content: Mapping[str, Any], name: str) -> Measurements:
    """The measurements in the content of a data file called `name`. Raises DataError."""
    if content.get("format") != FORMAT:
        raise DataError(f'{name}: "format" is {content.get("format")!r}, and not "{FORMAT}".')
    try:
        runs = tuple(_run(entry) for entry in content["runs"])
        general, domain = content.get("general_sources", ()), content.get("domain_sources", ())
        return Measurements(runs, tuple(map(str, general)), tuple(map(str, domain)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{name}: {reason} (docs/plan-a-mixture.md shows a data file).") from error


def _run(entry: Mapping[str, Any]) -> SweepRun:
    return SweepRun(
        name=str(entry["name"]),
        ratio=float(entry["ratio"]),
        base_general=float(entry["base_general"]),
        base_domain=float(entry["base_domain"]),
        tokens=tuple(int(tokens) for tokens in entry["tokens"]),
        general=tuple(float(loss) for loss in entry["general"]),
        domain=tuple(float(loss) for loss in entry["domain"]),
        seed=None if entry.get("seed") is None else int(entry["seed"]),
    )
