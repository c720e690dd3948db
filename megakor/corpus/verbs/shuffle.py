"""`megakor corpus shuffle`: a global shuffle of documents."""

from __future__ import annotations

from collections.abc import Sequence

from megakor.corpus.operations.shuffle import ShuffleOptions, shuffle_documents
from megakor.corpus.verbs.arguments import add_memory, carry_out, log, memory_bytes, parser_of


def main(arguments: Sequence[str]) -> int:
    """Shuffle shards into one. Raises MegakorError."""
    parser = parser_of(
        "shuffle",
        "Write all documents as one new shard in a random order, which the seed decides. Needs the space of the "
        "documents on the disk twice while it runs.",
        "shards/ko-news shards/ko-web --output shards/ko-all --seed 7",
    )
    parser.add_argument("--seed", type=int, default=1234, help="default: 1234")
    add_memory(parser)
    given = parser.parse_args(arguments)
    options = ShuffleOptions(given.seed, memory_bytes(given))
    return carry_out(given, lambda inputs, output: shuffle_documents(inputs, output, options, log))
