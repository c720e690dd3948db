"""FineWeb2's rehydration: one document of each near-duplicate cluster is kept, then repeated by the cluster's size.

A quality filter that drops few documents of clusters of some size says that such documents are good. With the removal
rate r(c) of cluster size c, the global rate g, the lowest rate m and at most M repetitions:

    repetitions(c) = 1                                where r(c) >= g
                     1 + (M - 1) (g - r(c)) / (g - m)  elsewhere
    then the mean over 5 neighbouring sizes (not for the first and last 2), then rounded, half to even.

Source: FineWeb2 (arXiv 2506.20920) and its repository, misc/rehydration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import numpy as np

from megakor.errors import ConfigError, DataError

FIELD = "minhash_cluster_size"
WINDOW = 5
MOST_REPETITIONS = 1000
_BEYOND = 1e100
Weights = dict[float, float]
"""Value from which -> repetitions; below the smallest value a document is kept once."""

TABLES: dict[str, str] = {
    "fineweb2-korean-10": "1:1,2:5,3:6,4:8,6:9,9:10,13:9,17:8,21:7,26:6,34:5,35:6,36:5,41:6,45:5,48:4,56:3,77:2,90:1",
    "fineweb2-korean-5": "1:1,2:3,4:4,6:5,16:4,26:3,48:2,87:1",
    "fineweb2-korean-3": "1:1,2:2,5:3,20:2,63:1",
    "fineweb2-simple": "1:1,2:2,3:3,5:5,100:8,1000:1",
}
"""As published: those of kor_Hang for at most 10, 5 and 3 repetitions, and the same for all languages."""


def interpolated(removal_rates: np.ndarray, global_rate: float, most: int) -> np.ndarray:
    """Repetitions before smoothing and rounding, float64 (sizes,). Rates may be in any unit, the same for all."""
    below = removal_rates < global_rate
    exact = np.ones(len(removal_rates))
    exact[below] += (most - 1) * (global_rate - removal_rates[below]) / (global_rate - removal_rates.min())
    return exact


def repetitions(removal_rates: np.ndarray, global_rate: float, most: int) -> np.ndarray:
    """Repetitions of each cluster size, int64 (sizes,); the rates are those of ascending sizes, float64 (sizes,)."""
    exact = interpolated(removal_rates, global_rate, most)
    smooth, half = exact.copy(), WINDOW // 2
    if len(exact) > 2 * half:
        smooth[half:-half] = np.convolve(exact, np.full(WINDOW, 1 / WINDOW), mode="valid")
    return np.round(smooth).astype(np.int64)


def weights_from_distribution(path: Path, most: int) -> Weights:
    """The weights for at most `most` repetitions from a file of FineWeb2's misc/rehydration/distributions.

    The file is a JSON object; read are cluster_sizes, cluster_removal_rates, tail_threshold, tail_removal_rate (all
    sizes from tail_threshold on) and global_removal_rate. Raises DataError, ConfigError.
    """
    if not 1 <= most <= MOST_REPETITIONS:
        raise ConfigError(f"--most {most}: documents are repeated 1 to {MOST_REPETITIONS} times.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        sizes = _numbers([*record["cluster_sizes"], record["tail_threshold"]])
        rates = np.array(_numbers([*record["cluster_removal_rates"], record["tail_removal_rate"]]))
        (global_rate,) = _numbers([record["global_removal_rate"]])
    except FileNotFoundError:
        raise DataError(f"{path} is missing; it should hold removal rates by cluster size.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a distribution of cluster sizes and removal rates ({error!r}).") from error
    if len(sizes) != len(rates) or sizes != sorted(set(sizes)):
        raise DataError(f"{path}: its {len(rates):,} removal rates do not stand for {len(sizes):,} ascending sizes.")
    return as_weights(sizes, repetitions(rates, global_rate, most).tolist())


def _numbers(values: Sequence[Any]) -> list[float]:
    """Raises ValueError for what is no number, or one beyond all measure."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _BEYOND:
            raise ValueError(f"{shortened(value)} is no number")
    return [float(value) for value in values]


def as_weights(sizes: Sequence[float], repeats: Sequence[float]) -> Weights:
    """{size from which: repetitions}, an entry wherever they change."""
    weights: Weights = {}
    for number, (size, repeat) in enumerate(zip(sizes, repeats, strict=True)):
        if number == 0 or repeat != repeats[number - 1]:
            weights[size] = repeat
    return weights


def weights_of(values: np.ndarray, weights: Weights) -> np.ndarray:
    """The weight of each value, float64; 1 below the smallest value of the table and for NaN."""
    edges = sorted(weights)
    steps = np.array([1.0, *(weights[edge] for edge in edges)])
    places = np.searchsorted(np.array(edges, dtype=np.float64), values, side="right")
    return np.where(np.isnan(values), 1.0, steps[places])


def check_times(option: str, times: float) -> float:
    """The same. Raises ConfigError for what is no number of repetitions."""
    if not 0 <= times <= MOST_REPETITIONS:
        raise ConfigError(f"{option} {times:g}: give 0 to {MOST_REPETITIONS} repetitions, such as 2 or 0.5.")
    return times


def parse_weights(text: str) -> Weights:
    """`1:1,2:5,3:6.5` or the name of a published table. Raises ConfigError."""
    weights: Weights = {}
    for pair in TABLES.get(text, text).split(","):
        value, colon, weight = pair.partition(":")
        try:
            edge, repeats = float(value), float(weight)
        except ValueError:
            edge = repeats = math.nan
        if not colon or math.isnan(edge) or not 0 <= repeats <= MOST_REPETITIONS:
            raise ConfigError(
                f"--weights: {pair!r} is not VALUE:REPETITIONS with 0 to {MOST_REPETITIONS} repetitions, such as 2:5; "
                f"or name a table: {', '.join(TABLES)}."
            )
        if edge in weights:
            raise ConfigError(f"--weights: {value} is there more than once.")
        weights[edge] = repeats
    return weights
