"""metrics.jsonl: one JSON object a line, for programs.

Numbers have all their digits. JSON has no word for nan and infinity, so such a number is null in its place and is spelt
out under `not_finite`, in the same nesting: {"loss": null, "not_finite": {"loss": "nan"}}. `read_metrics` puts it back.

The file is only ever appended to. After a resume it holds lines of an attempt that was given up; `surviving` drops
them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from megakor.json_lines import cut_torn_line, not_a_line, read_json_lines
from megakor.storage import CONTINUE, storage_errors

Line = dict[str, Any]
RESUME = "resume"
"""Name of the event that a run writes when it continues: lines above it with more tokens than it has are superseded."""
WHAT = ("source", "probe", "language", "domain", "series")
"""What a line of an evaluation is about, beside its kind and tokens."""


class MetricsFile:
    """Appends to metrics.jsonl; every line is handed to the operating system at once, so that a killed run keeps it.

    Raises StorageError when the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path, CONTINUE):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            cut_torn_line(path)

    def write(self, line: Line) -> None:
        """Append one line: keys are text; values are numbers, text, booleans, None, or dictionaries of these."""
        finite, not_finite = _split(line)
        if not_finite:
            finite["not_finite"] = not_finite
        text = json.dumps(finite, ensure_ascii=False, allow_nan=False)
        with storage_errors(self.path, CONTINUE):
            self._file.write(text.encode() + b"\n")
            self._file.flush()

    def sync(self) -> None:
        """The lines so far survive a loss of power."""
        with storage_errors(self.path, CONTINUE):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back; no line may follow."""
        # Every write has been flushed: what could fail here has been reported already.
        with suppress(OSError):
            self._file.close()


def _split(value: Line) -> tuple[Line, Line]:
    """(the same with null for every number that is not finite, those numbers as text)."""
    finite: Line = {}
    not_finite: Line = {}
    for key, item in value.items():
        if isinstance(item, dict):
            finite[key], spelt = _split(item)
            if spelt:
                not_finite[key] = spelt
        elif isinstance(item, float) and not math.isfinite(item):
            finite[key], not_finite[key] = None, str(item)
        else:
            finite[key] = item
    return finite, not_finite


def _restore(line: Line, not_finite: Line) -> None:
    for key, spelt in not_finite.items():
        if isinstance(spelt, dict):
            _restore(line[key], spelt)
        else:
            line[key] = float(spelt)


def read_metrics(path: Path) -> list[Line]:
    """Every line of the file, in order. A torn last line is left out.

    Raises DataError for a missing file and for a line that no run has written, naming file and line.
    """
    lines = []
    for place, line in read_json_lines(path):
        try:
            _restore(line, line.pop("not_finite", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise not_a_line(place, error) from error
        lines.append(line)
    return lines


def surviving(lines: Iterable[Line]) -> list[Line]:
    """The lines that describe the run as it stands, in order.

    A resume at T tokens supersedes every earlier line with more than T tokens, except resumes themselves. When a step
    or the validation of a source was reported twice at the same tokens, the later line counts.
    """
    kept: list[Line] = []
    for line in lines:
        if is_resume(line):
            kept = [earlier for earlier in kept if is_resume(earlier) or earlier.get("tokens", 0) <= line["tokens"]]
        kept.append(line)
    last = {_identity(line, index): index for index, line in enumerate(kept)}
    return [kept[index] for index in sorted(last.values())]


def is_resume(line: Line) -> bool:
    """Whether a line is the event of a resume."""
    return line["kind"] == "event" and line["name"] == RESUME


def _identity(line: Line, index: int) -> tuple[Any, ...]:
    if line["kind"] == "event":
        return ("event", index)
    return (line["kind"], line["tokens"], *(line.get(key) for key in WHAT))
