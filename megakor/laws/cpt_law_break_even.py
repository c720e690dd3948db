"""`megakor cpt-law break-even`: when continued training pays, against training from scratch."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from megakor.config.quantities import parse_tokens
from megakor.curriculum.cpt_law import Laws, break_even_tokens, compute_saved, tokens_saved, tokens_with_replay
from megakor.errors import ConfigError, ExitCode
from megakor.laws.cpt_runs import PUBLISHED_WARNING, both_laws
from megakor.units import compact


def main(arguments: Sequence[str]) -> int:
    """Print what continued training saves."""
    given = _parser().parse_args(arguments)
    if (given.compute is None) == (given.parameters is None):
        raise ConfigError("Give --compute, or --parameters (with --tokens for what is saved); not both.")
    if given.compute is not None:
        if not (given.compute > 0 and math.isfinite(given.compute)):
            raise ConfigError(f"--compute {given.compute:g}: give FLOPs above 0, such as 1e20.")
        saved = compute_saved(given.compute, both_laws(given.law) if given.law else None)
        print(
            _saved(
                "compute",
                saved,
                f"the loss that {given.compute:.3g} FLOPs reach from scratch, both at their best split",
            )
        )
    else:
        _of_size(both_laws(given.law), given)
    if given.law is None:
        print(PUBLISHED_WARNING)
    return ExitCode.DONE


def _of_size(laws: Laws, given: argparse.Namespace) -> None:
    crossing = break_even_tokens(laws, given.parameters)
    name = {"continued": "continued training", "scratch": "training from scratch"}[crossing.before]
    if math.isinf(crossing.tokens):
        print(f"{name} is better with any number of tokens")
    else:
        words = f"{compact(crossing.tokens)} tokens of the target language"
        everything = tokens_with_replay(crossing.tokens, given.replay)
        replayed = f" ({compact(everything)} with {given.replay:.0%} replay)" if given.replay else ""
        print(f"a model of {compact(given.parameters)} parameters: {name} is better up to {words}{replayed}")
    if given.tokens is not None:
        goal = f"the loss of {compact(given.tokens)} target tokens of continued training"
        print(_saved("tokens", tokens_saved(laws, given.parameters, given.tokens), goal))


def _saved(what: str, saved: float, goal: str) -> str:
    if saved >= 1:
        return f"training from scratch never reaches {goal}"
    if math.isinf(saved):
        return f"continued training never reaches {goal}"
    verb = "saves" if saved >= 0 else "costs"
    return f"to {goal}: continued training {verb} {abs(saved):.1%} of the {what}"


def _amount(text: str) -> int:
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor cpt-law break-even",
        description="Compare continued training with training from scratch: by compute, or for one size of model.",
    )
    add = parser.add_argument
    add("--compute", type=float, metavar="FLOPS", help="of training from scratch, such as 1e20")
    add("--parameters", type=_amount, metavar="N", help="of the model, without embeddings, such as 1B")
    add("--tokens", type=_amount, metavar="D", help="of the target language in continued training")
    add("--replay", type=float, default=0.0, metavar="SHARE", help="of general text in all tokens (default: 0)")
    add("--law", type=Path, metavar="LAW", help="written by megakor cpt-law fit (default: the published lines)")
    return parser
