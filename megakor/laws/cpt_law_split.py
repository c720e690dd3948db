"""`megakor cpt-law split`: how compute is spent best, with a share of replay."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.curriculum.cpt_law import split
from megakor.errors import ConfigError, ExitCode
from megakor.laws.cpt_runs import PUBLISHED_WARNING, read_law
from megakor.units import compact


def main(arguments: Sequence[str]) -> int:
    """Print parameters and tokens."""
    given = _parser().parse_args(arguments)
    law = read_law(given.law)[0 if given.scratch else 1]
    if law is None:
        raise ConfigError(f"{given.law}: holds no law of this kind of training; fit it with runs of that kind.")
    best = split(law, given.compute, given.replay)
    (k, a), (m, b) = law.optimum_line()
    print(f"optimum: N = {k:.5g} C^{a:.4f}, D = {m:.5g} C^{b:.4f}")
    print(f"for {given.compute:.3g} FLOPs with {given.replay:.0%} replay:")
    print(f"  parameters     {compact(best.parameters)}")
    print(f"  target tokens  {compact(best.target_tokens)}")
    print(f"  all tokens     {compact(best.tokens)}")
    if law.printed:
        print(PUBLISHED_WARNING)
    else:
        print(f"  loss           {law.loss(best.parameters, best.target_tokens):.4f}")
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor cpt-law split",
        description="The size of model and the tokens with the least loss for an amount of compute (C = 6 N D).",
    )
    add = parser.add_argument
    add("--compute", type=float, required=True, metavar="FLOPS", help="such as 1e20")
    add("--replay", type=float, default=0.0, metavar="SHARE", help="of general text in all tokens (default: 0)")
    add("--scratch", action="store_true", help="training from scratch (default: continued training)")
    add("--law", type=Path, metavar="LAW", help="written by megakor cpt-law fit (default: the published constants)")
    return parser
