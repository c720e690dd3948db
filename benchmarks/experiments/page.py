"""The pages of an experiment, in Markdown: what was run, on which machine, and tables."""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from options import Options
from record import Frozen, Predictions, time_words

from megakor.storage import make_directory, write_text


def write_page(options: Options, parts: Sequence[str]) -> Path:
    """OUTPUT/report/report.md, beside the pictures."""
    path = options.output / "report" / "report.md"
    make_directory(path.parent)
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def head(title: str, seeds: Sequence[int], options: Options, began: float) -> str:
    """Title, command, machine, seeds, and the day on which the confirming runs began (seconds since 1970)."""
    names = ("torch", "megatron-core")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    script, text = Path(sys.argv[0]).name, "files given" if options.korean else "the sample corpus"
    day = time_words(began)[: len("2000-01-01")] if seeds else "not run"
    return (
        f"# {title}\n\n    python benchmarks/experiments/{script}{_switches(options)}\n\n"
        f"Seeds {', '.join(map(str, seeds))}; text: {text}. {day}, {processor()}, {os.cpu_count()} cores, one thread "
        f"a run; Python {platform.python_version()}, {versions}."
    )


def _switches(options: Options) -> str:
    """The options that decide what is run, without paths of this machine."""
    switches = f" --seeds {' '.join(map(str, options.seeds))}"
    for name in ("korean", "english", "parallel"):
        path = getattr(options, name)
        switches += f" --{name} {path.name}" if path else ""
    return switches + (f" --jobs {options.jobs}" if options.jobs > 1 else "") + (" --short" if options.short else "")


def processor() -> str:
    """The name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def frozen_part(frozen: Mapping[str, Frozen]) -> str:
    """Hyperparameters with the pilots that chose them."""
    parts = ["## Frozen hyperparameters"]
    for name, one in frozen.items():
        chosen = ", ".join(f"{key} {_cell(value)}" for key, value in one.chosen.items())
        rules = " ".join(f"{rule[0].upper()}{rule[1:]}." for rule in one.rules)
        parts.append(f"*{name}*, frozen {one.frozen_at} by a pilot on another seed: {chosen}. {rules}")
        parts.append(table([list(one.tried[0]), *([_cell(value) for value in row.values()] for row in one.tried)]))
    return "\n\n".join(parts)


def predictions_part(found: Mapping[str, Predictions], begun: Mapping[str, float]) -> str:
    """When each set was written, and when the first run began that it speaks of."""
    rows = [["predictions", "written", "first confirming run", "SHA-256 of the file"]]
    for name, one in found.items():
        first = time_words(begun[name]) if math.isfinite(begun[name]) else "not run"
        rows.append([name, time_words(one.written_at), first, f"`{one.sha256[:16]}`"])
    return "## Predictions, and what was measured\n\n" + table(rows)


def seed_part(seed: int, found: Predictions, measured: Mapping[str, float]) -> str:
    """What became of the predictions on one seed."""
    return f"### Seed {seed}\n\n" + table([["", "predicted", "met if", "measured", ""], *outcomes(found, measured)])


def outcomes(found: Predictions, measured: Mapping[str, float], digits: int = 4) -> list[list[str]]:
    """One row for each prediction: what it says, what was measured, met or missed; "not run" where nothing was."""
    rows = []
    for one in found.predictions:
        expected = "-" if one.value is None else f"{one.value:.{digits}f}"
        limits = _limits(one.low, one.high, digits)
        if one.key not in measured:
            rows.append([one.key, expected, limits, "-", "not run"])
            continue
        value = measured[one.key]
        rows.append([one.key, expected, limits, f"{value:.{digits}f}", "met" if one.met(value) else "**missed**"])
    return rows


def _limits(low: float | None, high: float | None, digits: int) -> str:
    if low is not None and high is not None:
        return f"{low:.{digits}f} to {high:.{digits}f}"
    if low is not None:
        return f"at least {low:.{digits}f}"
    return "-" if high is None else f"at most {high:.{digits}f}"


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Mean and standard deviation over seeds, with the sign of changes left to the caller."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "-"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_cell(inner)}" for key, inner in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
