"""Does a model that may attend from Korean to English in training use English when it reads Korean?

Two models read the same rows of parallel text in the same order, token for token. In one attention crosses the
documents of a row (XLDA, arXiv 2504.15431), in the other it stays inside documents. A third one tells longer context
from crossing languages: it reads the same documents in rows of one language each, and attention crosses them. All are
measured on the Korean of held-out pairs with its English before it in the same segment, with another pair's, and
without any; and on plain text.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from crosslingual_models import COMPARISONS, DOCUMENT, MODELS, ONE_LANGUAGE, XLDA, compared, last_losses, rows_and_mask
from crosslingual_page import write_report
from english_base import falling, frozen_shape, run_config
from material import Material, prepare
from options import PILOT_SEED, Options, read_options
from pair_rows import CONTEXTS
from pairs import ParallelText, prepare_pairs
from record import Frozen, Prediction, predict, read_frozen, read_predictions
from running import Planned, carry_out, exit_code, say, side_by_side
from scale import KI
from stages import Choice, all_frozen, pilot_once, take_steps

from megakor.config.schema import Config, EvaluationSourceConfig
from megakor.config.schema_data import PhaseConfig, SourceConfig

RULES = (
    "chosen: the peak and batch with which the model with document masks ends at the lowest loss on plain Korean; "
    "warm-up over a twentieth, decay over the last fifth",
)


@dataclass(frozen=True)
class Size:
    """In tokens, but for `pages`: of the made-up parallel text, where no file is given. `trials` are peaks and global
    batches to try."""

    tokens: int
    pilot: int
    pages: int
    trials: tuple[tuple[float, int], ...]
    evaluation: int
    """Of each set at each evaluation: with a pair in a row, a quarter or so of it is Korean that counts."""


FULL = Size(256 * KI, 64 * KI, 6000, ((4e-3, KI // 2),), 16 * KI)
SHORT = Size(24 * KI, 8 * KI, 400, ((1e-2, KI // 2),), KI)


def main() -> None:
    """Do the steps that were asked for."""
    options = read_options("crosslingual", __doc__)
    size, material = SHORT if options.short else FULL, prepare(options)
    text = prepare_pairs(material, options.parallel, size.pages, options.scale)
    take_steps(
        options,
        {
            "pilot": lambda: pilot_once(options, material, partial(choose, options, size, material, text)),
            "predict": lambda: foresee(options, read_frozen(options.frozen)),
            "confirm": lambda: confirm(options, size, material, text),
            "report": lambda: say(f"wrote {write_report(options, all_frozen(options, 'training'))}"),
        },
    )


def choose(options: Options, size: Size, material: Material, text: ParallelText) -> Choice:
    """The learning rate with document masks; then what the others do at it, on the pilot's seed."""
    tried = side_by_side(partial(_try, options, size, material, text), size.trials, options.jobs)
    best = min(tried, key=lambda row: row["plain Korean"])
    rate, batch = best["peak"], best["batch"]
    home = _pilot_home(options, rate, batch)
    others = [Contestant(model, home, size.pilot, PILOT_SEED, rate, batch) for model in (XLDA, ONE_LANGUAGE)]
    side_by_side(partial(run_model, options, size, material, text), others, options.jobs)
    return {"peak": rate, "batch": batch, "tokens": size.tokens}, RULES, tried


def _pilot_home(options: Options, rate: float, batch: int) -> Path:
    return options.output / "pilot" / f"{rate:g}-{batch}"


def _try(
    options: Options, size: Size, material: Material, text: ParallelText, trial: tuple[float, int]
) -> dict[str, Any]:
    home = _pilot_home(options, *trial)
    contestant = Contestant(DOCUMENT, home, size.pilot, PILOT_SEED, *trial)
    last = last_losses(run_model(options, size, material, text, contestant))
    return {
        "model": MODELS[DOCUMENT],
        "peak": trial[0],
        "batch": trial[1],
        "tokens": size.pilot,
        "plain Korean": last["plain-korean"],
        "plain English": last["plain-english"],
    }


def foresee(options: Options, frozen: Frozen) -> None:
    """Write down what the reported seeds will show, from what the pilot's seed showed."""
    seen = compared(_pilot_home(options, frozen.chosen["peak"], frozen.chosen["batch"]))
    found = [Prediction(one.key, seen[one.key], one.low, one.high) for one in COMPARISONS]
    predict(options.predictions, found, {})


def confirm(options: Options, size: Size, material: Material, text: ParallelText) -> None:
    """The reported runs. Raises ConfigError where nothing is predicted."""
    read_predictions(options.predictions)
    side_by_side(partial(run_seed, options, size, material, text), options.seeds, options.jobs)


def run_seed(options: Options, size: Size, material: Material, text: ParallelText, seed: int) -> None:
    """All models of one seed."""
    chosen, home = read_frozen(options.frozen).chosen, options.home(seed)
    for model in MODELS:
        contestant = Contestant(model, home, size.tokens, seed, chosen["peak"], chosen["batch"])
        run_model(options, size, material, text, contestant)


@dataclass(frozen=True)
class Contestant:
    """One run."""

    model: str
    """One of MODELS."""
    output: Path
    tokens: int
    seed: int
    rate: float
    batch: int


def run_model(options: Options, size: Size, material: Material, text: ParallelText, contestant: Contestant) -> Path:
    """Carry it out; returns the directory of its run. Raises MegakorError."""
    run = Planned(contestant.model, _config(options, size, material, text, contestant))
    carry_out([run], contestant.output)
    return run.directory


def _config(options: Options, size: Size, material: Material, text: ParallelText, contestant: Contestant) -> Config:
    """The mask of training is the phase's; evaluation has that of the run, which follows the segments of the rows."""
    tokens, batch = contestant.tokens, options.scale.batch(contestant.batch)
    directory = contestant.output / contestant.model
    config = run_config(options, material, frozen_shape(options), batch, directory, contestant.seed, tokens)
    config.lr = falling(contestant.rate, tokens, batch)
    rows, mask = rows_and_mask(contestant.model, text)
    config.data.sources = {"pairs": SourceConfig(str(rows), "en+ko")}
    config.data.phases = [PhaseConfig(weights={"pairs": 1.0}, mask=mask)]
    sets = {f"after-{kind}": (text.context(kind), "ko") for kind in CONTEXTS}
    sets["plain-korean"] = (text.documents("ko", "held-out"), "ko")
    sets["plain-english"] = (text.documents("en", "held-out"), "en")
    config.evaluation = replace(
        config.evaluation,
        tokens=size.evaluation,
        sources={name: EvaluationSourceConfig(str(path), language) for name, (path, language) in sets.items()},
    )
    return config


if __name__ == "__main__":
    sys.exit(exit_code(main))
