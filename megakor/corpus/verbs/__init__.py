"""`megakor corpus VERB ...`: one module a verb, imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "inspect": "show documents of a shard, decoded, with their token boundaries",
    "verify": "check a shard and its side files, and say which document is damaged",
    "stats": "documents, tokens, bytes, lengths, shares and duplicates of shards",
    "merge": "put several shards into one",
    "shuffle": "put the documents of a shard into a random order",
    "sort": "put the documents of a shard into the order of a number in their metadata",
    "best": "keep the best documents up to a number of tokens",
    "split": "one shard for each value of a metadata field",
    "filter": "keep the documents that fit an expression over their metadata",
    "repeat": "repeat documents by weight",
    "deduplicate": "keep the first of documents with the same tokens",
    "probe": "multiple-choice questions out of held-out text, for the probes of a run",
    "regroup": "pack documents into rows of one length, by best fit or across languages",
}


def listed() -> str:
    """Every verb with its sentence, a line each."""
    width = max(map(len, VERBS))
    return "\n".join(f"  {name:<{width}}  {words}" for name, words in VERBS.items())


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; returns its exit code. Raises MegakorError."""
    return int(import_module(f"megakor.corpus.verbs.{verb}").main(arguments))
