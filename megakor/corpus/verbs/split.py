"""`megakor corpus split`: one shard for each value or range of a metadata field."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from megakor.corpus.operations.split import SplitOptions, split_documents
from megakor.corpus.verbs.arguments import carry_out, log, parser_of


def main(arguments: Sequence[str]) -> int:
    """Split shards. Raises MegakorError."""
    parser = parser_of(
        "split",
        "Write OUTPUT_PART for each value of a field, or each range of a number; documents without a value go to "
        "OUTPUT_none.",
        "shards/web --output shards/web --field quality --edges 2,3,4",
    )
    add = parser.add_argument
    add("--field", default="language", help="of the metadata (default: language)")
    add(
        "--edges",
        type=_edges,
        metavar="A,B,...",
        help="of ranges of a number: 2,3 gives OUTPUT_below-2, OUTPUT_2-to-3 and OUTPUT_from-3",
    )
    add("--max-outputs", type=int, default=64, metavar="N", help="more parts than this are an error (default: 64)")
    given = parser.parse_args(arguments)
    options = SplitOptions(given.field, given.edges, given.max_outputs)
    return carry_out(given, lambda inputs, output: split_documents(inputs, output, options, log))


def _edges(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(edge) for edge in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers, such as 2,3,4") from None
