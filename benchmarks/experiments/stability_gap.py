"""How deep does a model fall when it goes on with another language, and how much of the dip do the strategies take?

A base model that has read English and some Korean goes on with Korean: by the plain recipe (one pass over all of it),
by each strategy against the stability gap (arXiv 2406.14833) alone, and by all three. The recipes are the fragments of
configs/curriculum/, with every amount of tokens scaled down by one factor.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from gap_page import DOMAIN, GENERAL, STRATEGIES, dips, write_report
from gap_recipes import FULL, SHORT, Recipe, Size, bilingual_base, run_recipe
from material import Material, prepare
from options import PILOT_SEED, Options, read_options
from record import Frozen, Prediction, predict, read_frozen, read_predictions
from running import exit_code, losses, say, side_by_side
from stages import Choice, all_frozen, pilot_once, take_steps

ROOM = 0.15
"""Shares of a dip, and nats, are predicted to within this much of what the pilot saw."""
RULES = (
    "chosen: the peak with which the plain recipe ends at the lowest domain loss; warm-up over a twentieth, cosine to "
    "a tenth of the peak",
)


def main() -> None:
    """Do the steps that were asked for."""
    options = read_options("stability-gap", __doc__)
    size, material = SHORT if options.short else FULL, prepare(options)
    take_steps(
        options,
        {
            "pilot": lambda: pilot_once(options, material, partial(choose, options, size, material)),
            "predict": lambda: foresee(options, read_frozen(options.frozen)),
            "confirm": lambda: confirm(options, size, material),
            "report": lambda: say(f"wrote {write_report(options, all_frozen(options, 'recipes'))}"),
        },
    )


def choose(options: Options, size: Size, material: Material) -> Choice:
    """The learning rate by the plain recipe; then what the strategies do at it, on the pilot's seed."""
    base = bilingual_base(options, size, material, PILOT_SEED)
    home = options.output / "pilot"
    tried = side_by_side(partial(_try, options, size, material, base), size.rates, options.jobs)
    best = min(tried, key=lambda row: row["domain"])["peak"]
    runs = [
        Recipe(name, base, home / f"{best:g}", size.pilot, PILOT_SEED, best) for name in STRATEGIES if name != "plain"
    ]
    side_by_side(partial(run_recipe, options, material), runs, options.jobs)
    return {"peak": best, "plain tokens": size.plain}, RULES, tried


def _try(options: Options, size: Size, material: Material, base: Path, rate: float) -> dict[str, Any]:
    recipe = Recipe("plain", base, options.output / "pilot" / f"{rate:g}", size.pilot, PILOT_SEED, rate)
    found = losses(run_recipe(options, material, recipe))
    last = found[max(found)]
    return {"recipe": "plain", "peak": rate, "tokens": size.pilot, "general": last["general"], "domain": last["domain"]}


def foresee(options: Options, frozen: Frozen) -> None:
    """Write down what the reported seeds will show, from what the pilot's seed showed."""
    seen = dips(options.output / "pilot" / f"{frozen.chosen['peak']:g}")
    plain = seen["plain"]
    found = [
        Prediction(f"{GENERAL}, plain: depth of the dip", plain["depth"], low=plain["depth"] / 2),
        Prediction(f"{GENERAL}, plain: at the end, above the base", plain["end"], low=0.0),
        Prediction(f"{DOMAIN}, plain: depth of the dip", plain["domain depth"], low=plain["domain depth"] / 2),
    ]
    for name in STRATEGIES[1:]:
        gone, more = seen[name]["gone"], seen[name]["domain"] - plain["domain"]
        found.append(Prediction(f"{GENERAL}, {name}: share of the dip that goes", gone, gone - ROOM, gone + ROOM))
        found.append(Prediction(f"{DOMAIN}, {name}: at the end, above plain", more, more - ROOM, more + ROOM))
    predict(options.predictions, found, {"seen by the pilot": seen})


def confirm(options: Options, size: Size, material: Material) -> None:
    """The reported runs. Raises ConfigError where nothing is predicted."""
    read_predictions(options.predictions)
    side_by_side(partial(run_seed, options, size, material), options.seeds, options.jobs)


def run_seed(options: Options, size: Size, material: Material, seed: int) -> None:
    """All recipes of one seed."""
    base = bilingual_base(options, size, material, seed)
    rate = read_frozen(options.frozen).chosen["peak"]
    for name in STRATEGIES:
        run_recipe(options, material, Recipe(name, base, options.home(seed), size.plain, seed, rate))


if __name__ == "__main__":
    sys.exit(exit_code(main))
