"""`megakor corpus merge`: several shards into one."""

from __future__ import annotations

from collections.abc import Sequence

from megakor.corpus.operations.merge import MergeOptions, merge_shards
from megakor.corpus.verbs.arguments import carry_out, log, parser_of


def main(arguments: Sequence[str]) -> int:
    """Merge shards. Raises MegakorError."""
    parser = parser_of(
        "merge",
        "Write the documents of shards of one tokenizer as one new shard, with their metadata.",
        "shards/ko-news shards/ko-web --output shards/ko-all --interleave",
    )
    parser.add_argument(
        "--interleave",
        action="store_true",
        help="spread the documents of each shard evenly over the output; default: shards one after another",
    )
    given = parser.parse_args(arguments)
    options = MergeOptions(given.interleave)
    return carry_out(given, lambda inputs, output: merge_shards(inputs, output, options, log))
