"""`megakor corpus best`: the best documents up to a number of tokens."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from megakor.config.quantities import parse_tokens
from megakor.corpus.operations.ranking import BestOptions, best_documents
from megakor.corpus.verbs.arguments import carry_out, log, parser_of


def main(arguments: Sequence[str]) -> int:
    """Keep the best documents of shards. Raises MegakorError."""
    parser = parser_of(
        "best",
        "Write the best documents by a number in their metadata, up to a number of tokens, as a new shard in the order "
        "of the inputs. Documents without a number are left out.",
        "shards/ko --output shards/ko-best --field perplexity --lowest --tokens 5B",
    )
    add = parser.add_argument
    add("--field", required=True, metavar="NAME", help="field of the metadata, or tokens: the length of a document")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--highest", action="store_true", help="the highest numbers are the best (quality)")
    which.add_argument("--lowest", action="store_true", help="the lowest numbers are the best (perplexity)")
    add("--tokens", required=True, type=_tokens, metavar="N", help="at most this many: 400M, 5B")
    given = parser.parse_args(arguments)
    options = BestOptions(given.field, given.highest, given.tokens)
    return carry_out(given, lambda inputs, output: best_documents(inputs, output, options, log))


def _tokens(text: str) -> int:
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
