"""The command line that the three experiments share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scale import FULL, SHORT, Scale

STEPS = ("pilot", "predict", "confirm", "report")
PILOT_SEED = 1
"""No reported seed: what the pilot chose was not chosen on the runs that are reported."""


@dataclass(frozen=True)
class Options:
    """What one experiment was asked to do."""

    output: Path
    prepared: Path
    """Text, tokenizer, shards and base models, which experiments beside each other share."""
    seeds: tuple[int, ...]
    steps: tuple[str, ...]
    jobs: int
    """Runs side by side, each in a process of its own with one thread."""
    short: bool
    korean: Path | None
    english: Path | None
    parallel: Path | None

    @property
    def frozen(self) -> Path:
        """The file of what the pilot chose."""
        return self.output / "frozen.json"

    @property
    def predictions(self) -> Path:
        """The file of what is predicted of all seeds alike."""
        return self.output / "predictions.json"

    def home(self, seed: int) -> Path:
        """The directory of a reported seed."""
        return self.output / f"seed-{seed}"

    @property
    def scale(self) -> Scale:
        """Sizes of text and model."""
        return SHORT if self.short else FULL


def read_options(name: str, description: str | None, arguments: Sequence[str] | None = None) -> Options:
    """The options of the command line; a wrong one ends the program with the reason."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs/experiments") / name, help="default: %(default)s")
    add("--prepared", type=Path, help="text, shards and base models (default: 'prepared' beside the output)")
    add("--seeds", type=int, nargs="+", default=[11, 12, 13], metavar="SEED", help="reported ones (default: 11 12 13)")
    add("--steps", nargs="+", choices=STEPS, default=STEPS, help="default: all, in this order")
    add("--jobs", type=int, default=1, metavar="N", help="runs side by side, of one thread each (default: 1)")
    add("--korean", type=Path, metavar="FILE", help="JSON Lines with `text` (default: the sample corpus)")
    add("--english", type=Path, metavar="FILE", help="the same in English")
    add("--parallel", type=Path, metavar="FILE", help="JSON Lines with `id`, `ko` and `en`, line by line alike")
    add("--short", action="store_true", help="a few minutes in all: shows that it works, and no effect")
    given = parser.parse_args(arguments)
    if PILOT_SEED in given.seeds:
        parser.error(f"seed {PILOT_SEED} is the pilot's: what it chose may not be reported. Take others")
    if given.jobs < 1:
        parser.error(f"--jobs {given.jobs}: at least 1")
    if (given.korean is None) != (given.english is None):
        parser.error("--korean and --english go together: give both files")
    values = vars(given)
    values["prepared"] = given.prepared or given.output.parent / "prepared"
    return Options(**{**values, "seeds": tuple(given.seeds), "steps": tuple(given.steps)})
