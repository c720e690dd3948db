"""`megakor corpus deduplicate`: exact duplicate removal."""

from __future__ import annotations

from collections.abc import Sequence

from megakor.corpus.operations.deduplicate import DeduplicateOptions, deduplicate_documents
from megakor.corpus.verbs.arguments import add_memory, carry_out, log, memory_bytes, parser_of


def main(arguments: Sequence[str]) -> int:
    """Deduplicate shards into one. Raises MegakorError."""
    parser = parser_of(
        "deduplicate",
        "Write the first of all documents with the same tokens, over all shards in their order, as one new shard.",
        "shards/ko-news shards/ko-web --output shards/ko-unique",
    )
    add_memory(parser)
    given = parser.parse_args(arguments)
    options = DeduplicateOptions(memory_bytes(given))
    return carry_out(given, lambda inputs, output: deduplicate_documents(inputs, output, options, log))
