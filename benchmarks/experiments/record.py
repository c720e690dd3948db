"""What is written down before it is needed: hyperparameters that the pilot froze, and predictions."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from megakor.errors import ConfigError
from megakor.storage import make_directory, write_text


@dataclass(frozen=True)
class Frozen:
    """What a pilot tried and chose. The reported runs read `chosen` and nothing else."""

    chosen: dict[str, Any]
    rules: list[str]
    """How it was chosen, in words."""
    tried: list[dict[str, Any]]
    """One row of a table each, with the same keys."""
    frozen_at: str


@dataclass(frozen=True)
class Prediction:
    """Of one number that a confirming run will give; it is met from `low` to `high` (None: no limit)."""

    key: str
    value: float | None
    """What is expected; None where only the limits are said."""
    low: float | None = None
    high: float | None = None

    def met(self, measured: float) -> bool:
        """Whether the limits hold."""
        return (self.low is None or measured >= self.low) and (self.high is None or measured <= self.high)


@dataclass(frozen=True)
class Predictions:
    """A set of predictions, when it was written, and the digest of the file that held it then."""

    predictions: tuple[Prediction, ...]
    plan: Mapping[str, Any]
    """What the confirming runs are to do."""
    written_at: float
    """Seconds since 1970."""
    sha256: str


def freeze(path: Path, chosen: dict[str, Any], rules: Sequence[str], tried: Sequence[dict[str, Any]]) -> Frozen:
    """Write the end of a pilot; nothing that is frozen is frozen again."""
    if not path.exists():
        content = asdict(Frozen(chosen, list(rules), list(tried), time_words(time.time())))
        make_directory(path.parent)
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return read_frozen(path)


def read_frozen(path: Path) -> Frozen:
    """Raises ConfigError where no pilot has been run."""
    if not path.exists():
        raise ConfigError(f"{path} is missing: no hyperparameters are frozen. Run the step `pilot` first.")
    return Frozen(**json.loads(path.read_text(encoding="utf-8")))


def predict(path: Path, predictions: Sequence[Prediction], plan: Mapping[str, Any]) -> None:
    """Write predictions; those that are there already stay as they are."""
    if path.exists():
        return
    content = {"written_at": time.time(), "plan": dict(plan), "predictions": [asdict(one) for one in predictions]}
    make_directory(path.parent)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_predictions(path: Path) -> Predictions:
    """Raises ConfigError where nothing was predicted."""
    if not path.exists():
        raise ConfigError(
            f"{path} is missing: nothing was predicted, so nothing can be confirmed. Run the step `predict` first."
        )
    text = path.read_bytes()
    content = json.loads(text)
    found = tuple(Prediction(**one) for one in content["predictions"])
    return Predictions(found, content["plan"], content["written_at"], hashlib.sha256(text).hexdigest())


def time_words(seconds: float) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
