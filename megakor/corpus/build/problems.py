"""Documents that cannot be read: counted by kind, with the first places of each, and the point where it is too many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from megakor.corpus.inputs.records import Problem
from megakor.errors import DataError

EXAMPLES = 10
"""Sentences kept of each kind."""
SHOWN = 3
"""Sentences of each kind that an error or the end of a build shows."""


@dataclass
class ProblemCounts:
    """Problems by kind. Those of tasks merged in the order of the input give the first examples of the input."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Documents that cannot be read, of every kind."""
        return sum(self.counts.values())

    def add(self, problem: Problem) -> None:
        """Count one document."""
        self.counts[problem.kind] = self.counts.get(problem.kind, 0) + 1
        self._keep(problem.kind, [problem.message])

    def extend(self, problems: Iterable[Problem]) -> None:
        """Count several documents, in their order."""
        for problem in problems:
            self.add(problem)

    def merge(self, later: ProblemCounts) -> None:
        """Add what was counted further on in the input."""
        for kind, count in later.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self._keep(kind, later.examples.get(kind, []))

    def check(self, on_error: str, limit: int | None = None) -> None:
        """Stop the build where its rules say so: `fail` at the first problem, `skip` at more than `limit` of them.

        Raises:
            DataError: names the place of the first problem, or kinds and places when there are too many.
        """
        if not self.total:
            return
        if on_error == "fail":
            first = next(iter(self.examples.values()))[0]
            raise DataError(f"{first} Mend it, or leave such documents out with --on-error skip.")
        if limit is not None and self.total > limit:
            raise DataError(
                "\n".join([f"{self.total:,} documents cannot be read; {limit:,} may be skipped.", *self.lines()])
            )

    def lines(self) -> list[str]:
        """A line for every kind, the most frequent first, and under it the first places."""
        lines = []
        for kind, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            shown = self.examples[kind][:SHOWN]
            rest = count - len(shown)
            lines.append(f"{kind}: {count:,}")
            lines += [f"  {sentence}" for sentence in shown]
            if rest:
                lines.append(f"  and {rest:,} more")
        return lines

    def to_json(self) -> dict[str, Any]:
        """For a task's marker."""
        return {"counts": self.counts, "examples": self.examples}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ProblemCounts:
        """What `to_json` gave."""
        return cls(dict(record["counts"]), {kind: list(sentences) for kind, sentences in record["examples"].items()})

    def _keep(self, kind: str, sentences: Iterable[str]) -> None:
        kept = self.examples.setdefault(kind, [])
        kept += list(sentences)[: EXAMPLES - len(kept)]
