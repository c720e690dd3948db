"""Does a model that may attend from Korean to English in training use English when it reads Korean?

Two models read the same rows of parallel text in the same order, token for token. In one attention crosses the
documents of a row (XLDA, arXiv 2504.15431), in the other it stays inside documents. Both are measured on the Korean of
held-out pairs with its English before it in the same segment, with another pair's, and without any; and on plain text.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from crosslingual_page import MASKS, differences, write_report
from english_base import falling, frozen_base, frozen_shape, pilot_base, run_config
from material import Material, prepare
from options import PILOT_SEED, Options, read_options
from pairs import CONTEXTS, ParallelText, prepare_pairs
from record import Frozen, Prediction, freeze, predict, read_frozen, read_predictions
from running import Planned, carry_out, exit_code, losses, say, side_by_side
from scale import KI

from megakor.config.schema import Config, EvaluationSourceConfig
from megakor.config.schema_data import PhaseConfig, SourceConfig

EVALUATIONS = 5
SMALLEST = 0.02
"""Nats a token that count as an effect."""
PLAIN_ROOM = 0.1
"""Plain losses of the two models are predicted to agree to this."""


@dataclass(frozen=True)
class Size:
    """In tokens, but for `pages`: of the made-up parallel text, where no file is given. `trials` are peaks and global
    batches to try."""

    tokens: int
    pilot: int
    pages: int
    trials: tuple[tuple[float, int], ...]


FULL = Size(256 * KI, 64 * KI, 6000, ((4e-3, KI), (4e-3, KI // 2), (2e-3, KI // 4)))
SHORT = Size(24 * KI, 8 * KI, 400, ((1e-2, KI // 2),))
RULES = (
    "chosen: the peak and batch with which the model with document masks ends at the lowest loss on plain Korean; "
    "warm-up over a twentieth, decay over the last fifth",
)


def main() -> None:
    """Do the steps that were asked for."""
    options = read_options("crosslingual", __doc__)
    size, material = SHORT if options.short else FULL, prepare(options)
    text = prepare_pairs(material, options.parallel, size.pages, options.scale)
    if "pilot" in options.steps:
        pilot(options, size, material, text)
    if "predict" in options.steps:
        foresee(options, read_frozen(options.output / "frozen.json"))
    if "confirm" in options.steps:
        read_predictions(options.output / "predictions.json")
        side_by_side(partial(run_seed, options, size, material, text), options.seeds, options.jobs)
    if "report" in options.steps:
        frozen = {"base model": frozen_base(options), "training": read_frozen(options.output / "frozen.json")}
        say(f"wrote {write_report(options, frozen)}")


def pilot(options: Options, size: Size, material: Material, text: ParallelText) -> Frozen:
    """Choose the learning rate with document masks, then see what XLDA does at it on the pilot's seed."""
    path = options.output / "frozen.json"
    pilot_base(options, material)
    if path.exists():
        return read_frozen(path)
    tried = side_by_side(partial(_try, options, size, material, text), size.trials, options.jobs)
    best = min(tried, key=lambda row: row["plain Korean"])
    rate, batch = best["peak"], best["batch"]
    home = _pilot_home(options, rate, batch)
    run_mask(options, material, text, Contestant("xlda", home, size.pilot, PILOT_SEED, rate, batch))
    return freeze(path, {"peak": rate, "batch": batch, "tokens": size.tokens}, RULES, tried)


def _pilot_home(options: Options, rate: float, batch: int) -> Path:
    return options.output / "pilot" / f"{rate:g}-{batch}"


def _try(
    options: Options, size: Size, material: Material, text: ParallelText, trial: tuple[float, int]
) -> dict[str, Any]:
    home = _pilot_home(options, *trial)
    found = losses(run_mask(options, material, text, Contestant("document", home, size.pilot, PILOT_SEED, *trial)))
    last = found[max(found)]
    return {
        "mask": "document",
        "peak": trial[0],
        "batch": trial[1],
        "tokens": size.pilot,
        "plain Korean": last["plain-korean"],
        "plain English": last["plain-english"],
    }


def foresee(options: Options, frozen: Frozen) -> None:
    """Write down what the reported seeds will show, from what the pilot's seed showed."""
    seen = differences(_pilot_home(options, frozen.chosen["peak"], frozen.chosen["batch"]))
    found = []
    for key, value in seen.items():
        plain = key.startswith("plain")
        low, high = (-PLAIN_ROOM, PLAIN_ROOM) if plain else (SMALLEST, None)
        found.append(Prediction(key, value, low, high))
    predict(options.output / "predictions.json", found, {})


def run_seed(options: Options, size: Size, material: Material, text: ParallelText, seed: int) -> None:
    """Both models of one seed."""
    chosen, home = read_frozen(options.output / "frozen.json").chosen, options.output / f"seed-{seed}"
    for mask in MASKS:
        contestant = Contestant(mask, home, size.tokens, seed, chosen["peak"], chosen["batch"])
        run_mask(options, material, text, contestant)


@dataclass(frozen=True)
class Contestant:
    """One run."""

    mask: str
    """One of MASKS."""
    output: Path
    tokens: int
    seed: int
    rate: float
    batch: int


def run_mask(options: Options, material: Material, text: ParallelText, contestant: Contestant) -> Path:
    """Carry it out; returns the directory of its run. Raises MegakorError."""
    run = Planned(contestant.mask, _config(options, material, text, contestant))
    carry_out([run], contestant.output)
    return run.directory


def _config(options: Options, material: Material, text: ParallelText, contestant: Contestant) -> Config:
    """The mask of training is the phase's; evaluation has that of the run, which follows the segments of the rows."""
    tokens, batch = contestant.tokens, options.scale.batch(contestant.batch)
    directory = contestant.output / contestant.mask
    config = run_config(options, material, frozen_shape(options), batch, directory, contestant.seed, tokens)
    config.lr = falling(contestant.rate, tokens, batch)
    config.data.sources = {"pairs": SourceConfig(str(text.training), "en+ko")}
    config.data.phases = [PhaseConfig(weights={"pairs": 1.0}, mask=MASKS[contestant.mask])]
    sets = {f"after-{kind}": (text.context(kind), "ko") for kind in CONTEXTS}
    sets["plain-korean"] = (text.documents("ko", "held-out"), "ko")
    sets["plain-english"] = (text.documents("en", "held-out"), "en")
    config.evaluation = replace(
        config.evaluation,
        every=batch.whole(tokens / EVALUATIONS),
        sources={name: EvaluationSourceConfig(str(path), language) for name, (path, language) in sets.items()},
    )
    return config


if __name__ == "__main__":
    sys.exit(exit_code(main))
