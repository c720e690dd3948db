"""`megakor corpus sort`: documents in the order of a number in their metadata."""

from __future__ import annotations

from collections.abc import Sequence

from megakor.corpus.operations.ranking import SortOptions, sort_documents
from megakor.corpus.verbs.arguments import add_memory, carry_out, log, memory_bytes, parser_of


def main(arguments: Sequence[str]) -> int:
    """Sort shards into one. Raises MegakorError."""
    parser = parser_of(
        "sort",
        "Write all documents as one new shard in the order of a number, such as from easy to hard; training keeps it "
        "with `order: file`. Documents without a number come last. Needs the space of the documents on the disk twice "
        "while it runs.",
        "shards/ko --output shards/ko-easy-first --field perplexity",
    )
    add = parser.add_argument
    add("--field", required=True, metavar="NAME", help="field of the metadata, or tokens: the length of a document")
    add("--descending", action="store_true", help="the largest number first")
    add_memory(parser)
    given = parser.parse_args(arguments)
    options = SortOptions(given.field, given.descending, memory_bytes(given))
    return carry_out(given, lambda inputs, output: sort_documents(inputs, output, options, log))
