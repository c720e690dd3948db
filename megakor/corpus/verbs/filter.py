"""`megakor corpus filter`: documents that fit an expression over their metadata, or bounds of length."""

from __future__ import annotations

from collections.abc import Sequence

from megakor.corpus.operations.filter import FilterOptions, filter_documents
from megakor.corpus.verbs.arguments import carry_out, log, parser_of, token_count


def main(arguments: Sequence[str]) -> int:
    """Filter shards. Raises MegakorError."""
    parser = parser_of(
        "filter",
        "Write the documents that fit as a new shard, in their order.",
        "shards/ko --output shards/ko-good --where 'quality >= 3 and not synthetic' --min-tokens 32",
    )
    add = parser.add_argument
    add(
        "--where",
        metavar="EXPRESSION",
        help="over the fields of the metadata and tokens, the length: and, or, not, == != < <= > >=, in ('a', 'b'), "
        "contains 'a', is null. A comparison with a missing value is false",
    )
    add("--min-tokens", type=token_count, metavar="N", help="shortest document, with its end-of-document token")
    add("--max-tokens", type=token_count, metavar="N", help="longest document")
    given = parser.parse_args(arguments)
    options = FilterOptions(given.where, given.min_tokens, given.max_tokens)
    return carry_out(given, lambda inputs, output: filter_documents(inputs, output, options, log))
