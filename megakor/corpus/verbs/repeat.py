"""`megakor corpus repeat`: documents by weight."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.operations.rehydration import (
    FIELD,
    TABLES,
    Weights,
    check_times,
    parse_weights,
    weights_from_distribution,
)
from megakor.corpus.operations.repeat import RepeatOptions, repeat_documents
from megakor.corpus.verbs.arguments import add_memory, carry_out, log, memory_bytes, parser_of


def main(arguments: Sequence[str]) -> int:
    """Repeat documents of shards. Raises MegakorError."""
    parser = parser_of(
        "repeat",
        "Write every document as often as its weight says, which a number in its metadata decides. Repeats are spread "
        "over the whole output, which is shuffled.",
        f"shards/fineweb2-ko --output shards/ko-rehydrated --field {FIELD} --weights fineweb2-korean-10",
    )
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument(
        "--weights",
        metavar="VALUE:TIMES,...",
        help="times from this value of the field on, such as 1:1,2:5,90:1.5 (a fraction is drawn for each document); "
        f"or a published table: {', '.join(TABLES)}",
    )
    weights.add_argument("--times", type=float, metavar="TIMES", help="the same weight for all documents; no field")
    weights.add_argument(
        "--removal-rates",
        type=Path,
        metavar="FILE",
        help="compute the weights from the removal rates of each cluster size, a distribution file of FineWeb2",
    )
    add = parser.add_argument
    add("--most", type=int, default=10, metavar="N", help="repetitions at the lowest removal rate (default: 10)")
    add("--field", default=FIELD, help=f"of the metadata (default: {FIELD}); without a value a document stands once")
    add("--adjacent", action="store_true", help="repeats one after another, the documents in their order")
    add("--seed", type=int, default=1234, help="of the order and of fractions (default: 1234)")
    add_memory(parser)
    given = parser.parse_args(arguments)
    field = None if given.times is not None else given.field
    options = RepeatOptions(_weights(given), field, not given.adjacent, given.seed, memory_bytes(given))
    return carry_out(given, lambda inputs, output: repeat_documents(inputs, output, options, log))


def _weights(given: argparse.Namespace) -> Weights:
    if given.times is not None:
        return {0.0: check_times("--times", given.times)}
    if given.removal_rates is not None:
        return weights_from_distribution(given.removal_rates, given.most)
    return parse_weights(given.weights)
