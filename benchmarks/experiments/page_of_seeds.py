"""What the page of an experiment begins with whose predictions speak of all seeds alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from options import Options
from page import frozen_part, head, predictions_part, seed_part
from record import Frozen, read_predictions
from running import FINISHED, began_at


def finished_seeds(options: Options, runs: Iterable[str]) -> dict[int, Path]:
    """Seed -> its directory, of those whose runs are all there; the others are left out."""
    names = tuple(runs)
    homes = {seed: options.home(seed) for seed in options.seeds}
    return {seed: home for seed, home in homes.items() if all((home / one / FINISHED).exists() for one in names)}


def beginning(
    title: str,
    options: Options,
    frozen: Mapping[str, Frozen],
    homes: Mapping[int, Path],
    measured: Callable[[Path], Mapping[str, float]],
) -> list[str]:
    """Title, frozen hyperparameters, predictions and the outcome of each seed.

    Args:
        homes: of the seeds that are reported.
        measured: what the runs in the directory of a seed give, by the keys of the predictions.
    """
    found = read_predictions(options.predictions)
    runs = [path.parent for home in homes.values() for path in home.glob(f"*/{FINISHED}")]
    begun = min(map(began_at, runs), default=math.inf)
    return [
        head(title, list(homes), options, begun),
        frozen_part(frozen),
        predictions_part({"all seeds": found}, {"all seeds": begun}),
        *(seed_part(seed, found, measured(home)) for seed, home in homes.items()),
    ]
