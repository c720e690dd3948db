"""`megakor checkpoint VERB ...`: one module a verb, imported when it is called. None of them needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "list": "the checkpoints of a run, and what else lies among them",
    "verify": "read every file and compare it with what was written",
    "prune": "delete old checkpoints by the run's own rules; says what would go until --yes is given",
}


def listed() -> str:
    """Every verb with its sentence, a line each."""
    width = max(map(len, VERBS))
    return "\n".join(f"  {name:<{width}}  {words}" for name, words in VERBS.items())


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; returns its exit code. Raises MegakorError."""
    return int(import_module(f"megakor.checkpoint.verbs.{verb}").main(arguments))
