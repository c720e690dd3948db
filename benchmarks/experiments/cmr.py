"""Does the law of the critical mixture ratio hold, and is the tolerance kept at the ratio that it gives?

An English base model goes on with Korean at several ratios (`megakor cmr sweep`); the laws of `megakor cmr fit` are
fitted to all ratios but one. They predict, before those runs begin: both losses at the ratio that was left out, and for
two budgets the largest share of Korean, R*, that keeps the general loss within a tolerance. Then that ratio, R* and a
clearly larger one are run.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from cmr_page import write_report
from cmr_predictions import confirming, foresee
from cmr_runs import FULL, ROLES, SHORT, Size, Sweep, sweep
from english_base import english_base, frozen_base, pilot_base
from material import Material, prepare
from options import PILOT_SEED, Options, read_options
from record import Frozen, freeze, predict, read_frozen, read_predictions
from running import exit_code, losses, say, side_by_side

from megakor.laws.sweep_runs import read_sweep

FEWEST_DIGITS = 0.01
"""Tolerances are whole multiples of it."""
RULES = (
    "chosen peak: the lowest sum of general and domain loss at the end of the runs at both ratios",
    "tolerance: the mean change of the general loss of these runs at the chosen peak, to 0.01 nats and at least that, "
    "so that a critical ratio exists between them at this scale",
)


def main() -> None:
    """Do the steps that were asked for."""
    options = read_options("cmr", __doc__)
    size, material = SHORT if options.short else FULL, prepare(options)
    if "pilot" in options.steps:
        pilot(options, size, material)
    if {"predict", "confirm"} & {*options.steps}:
        side_by_side(partial(run_seed, options, size, material), options.seeds, options.jobs)
    if "report" in options.steps:
        frozen = {"base model": frozen_base(options), "sweep": read_frozen(options.output / "frozen.json")}
        say(f"wrote {write_report(options, frozen, size)}")


def pilot(options: Options, size: Size, material: Material) -> Frozen:
    """Choose the base, the learning rate of the sweep and the tolerance; nothing that is frozen is chosen again."""
    path = options.output / "frozen.json"
    pilot_base(options, material)
    if path.exists():
        return read_frozen(path)
    base = english_base(options, material, PILOT_SEED)
    trials = list(product(size.rates, size.pilot_ratios))
    rows = side_by_side(partial(_try, options, size, material, base), trials, options.jobs)
    sums = {rate: sum(row["general"] + row["domain"] for row in rows if row["peak"] == rate) for rate in size.rates}
    rate = min(sums, key=lambda one: sums[one])
    rises = [row["general change"] for row in rows if row["peak"] == rate]
    epsilon = max(round(sum(rises) / len(rises) / FEWEST_DIGITS), 1) * FEWEST_DIGITS
    return freeze(path, {"peak": rate, "epsilon": round(epsilon, 4), "warmup": size.warmup}, RULES, rows)


def _try(options: Options, size: Size, material: Material, base: Path, trial: tuple[float, float]) -> dict[str, Any]:
    rate, ratio = trial
    output = options.output / f"pilot-{rate:g}"
    (run,) = sweep(options, size, material, Sweep(output, base, (ratio,), size.tokens, PILOT_SEED, rate))
    found = losses(run.directory)
    first, last = found[0], found[max(found)]
    return {
        "peak": rate,
        "ratio": ratio,
        "tokens": size.tokens,
        "general": last["english"],
        "domain": last["korean"],
        "general change": last["english"] - first["english"],
    }


def run_seed(options: Options, size: Size, material: Material, seed: int) -> None:
    """One seed: base, sweep and predictions; then what they speak of."""
    frozen = read_frozen(options.output / "frozen.json").chosen
    home = options.output / f"seed-{seed}"
    foretold = home / "predictions.json"
    if "predict" in options.steps and not foretold.exists():
        base = english_base(options, material, seed)
        sweep(options, size, material, Sweep(home / "sweep", base, size.ratios, size.tokens, seed, frozen["peak"]))
        predictions, plan = foresee(read_sweep([home / "sweep"], ROLES), size, frozen["epsilon"])
        predict(foretold, predictions, plan)
        say(f"seed {seed}: predicted R* {plan['critical']}")
    if "confirm" in options.steps:
        plan = read_predictions(foretold).plan
        base = english_base(options, material, seed)
        for name, ratios, tokens in confirming(size, plan):
            sweep(options, size, material, Sweep(home / name, base, ratios, tokens, seed, frozen["peak"]))


if __name__ == "__main__":
    sys.exit(exit_code(main))
