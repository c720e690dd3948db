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
from english_base import english_base
from material import Material, prepare
from options import PILOT_SEED, Options, read_options
from record import predict, read_frozen, read_predictions
from running import exit_code, losses, say, side_by_side
from stages import Choice, all_frozen, pilot_once, take_steps

from megakor.laws.sweep_runs import read_sweep

FEWEST_DIGITS = 0.001
"""Tolerances are whole multiples of it."""
LEAST_TOLERANCE = 0.01
"""Nats: an evaluation differs from the next by a few thousandths."""
RULES = (
    "chosen peak: the lowest sum of general and domain loss at the end of the runs at both ratios",
    "tolerance: the change of the general loss half-way between both ratios (on a straight line over log R, at their "
    "geometric mean) at the chosen peak, to 0.001 nats and at least 0.01, so that R* is no ratio of the sweep",
)


def main() -> None:
    """Do the steps that were asked for."""
    options = read_options("cmr", __doc__)
    size, material = SHORT if options.short else FULL, prepare(options)

    def of_seeds(work: partial[None]) -> None:
        side_by_side(work, options.seeds, options.jobs)

    take_steps(
        options,
        {
            "pilot": lambda: pilot_once(options, material, partial(choose, options, size, material)),
            "predict": lambda: of_seeds(partial(predict_seed, options, size, material)),
            "confirm": lambda: of_seeds(partial(confirm_seed, options, size, material)),
            "report": lambda: say(f"wrote {write_report(options, all_frozen(options, 'sweep'), size)}"),
        },
    )


def choose(options: Options, size: Size, material: Material) -> Choice:
    """The learning rate of the sweep and the tolerance. Bases of all seeds are made here, as many at a time as may."""
    bases = side_by_side(partial(english_base, options, material), (PILOT_SEED, *options.seeds), options.jobs)
    trials = list(product(size.rates, size.pilot_ratios))
    rows = side_by_side(partial(_try, options, size, material, bases[0]), trials, options.jobs)
    sums = {rate: sum(row["general"] + row["domain"] for row in rows if row["peak"] == rate) for rate in size.rates}
    rate = min(sums, key=lambda one: sums[one])
    changes = [row["general change"] for row in rows if row["peak"] == rate]
    epsilon = round(sum(changes) / len(changes) / FEWEST_DIGITS) * FEWEST_DIGITS
    chosen = {"peak": rate, "epsilon": round(max(epsilon, LEAST_TOLERANCE), 4), "warmup": size.warmup}
    return chosen, RULES, rows


def _try(options: Options, size: Size, material: Material, base: Path, trial: tuple[float, float]) -> dict[str, Any]:
    rate, ratio = trial
    output = options.output / f"pilot-{rate:g}"
    wanted = Sweep(output, base, (ratio,), size.tokens, PILOT_SEED, rate, size.few_evaluations)
    (run,) = sweep(options, size, material, wanted)
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


def predict_seed(options: Options, size: Size, material: Material, seed: int) -> None:
    """The sweep of one seed, and what its laws predict."""
    frozen, home = read_frozen(options.frozen).chosen, options.home(seed)
    foretold = home / "predictions.json"
    if foretold.exists():
        return
    base = english_base(options, material, seed)
    wanted = Sweep(home / "sweep", base, size.ratios, size.tokens, seed, frozen["peak"], size.evaluations)
    sweep(options, size, material, wanted)
    predictions, plan = foresee(read_sweep([home / "sweep"], ROLES), size, frozen["epsilon"])
    predict(foretold, predictions, plan)
    say(f"seed {seed}: predicted R* {plan['critical']}")


def confirm_seed(options: Options, size: Size, material: Material, seed: int) -> None:
    """The runs that the predictions of one seed speak of. Raises ConfigError where there are none."""
    home = options.home(seed)
    plan = read_predictions(home / "predictions.json").plan
    base, rate = english_base(options, material, seed), read_frozen(options.frozen).chosen["peak"]
    for name, ratio, tokens in confirming(size, plan):
        wanted = Sweep(home / name, base, (ratio,), tokens, seed, rate, size.few_evaluations)
        sweep(options, size, material, wanted)


if __name__ == "__main__":
    sys.exit(exit_code(main))
