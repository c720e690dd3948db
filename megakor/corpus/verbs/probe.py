"""`megakor corpus probe`: questions out of held-out text, for the probes of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.inspection.prefixes import named_shards
from megakor.corpus.inspection.tokenizer_search import find_tokenizer
from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations.continuations import ContinuationOptions, write_items
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.verbs.arguments import log
from megakor.errors import ConfigError, ExitCode


def main(arguments: Sequence[str]) -> int:
    """Write the questions. Raises MegakorError."""
    given = _parser().parse_args(arguments)
    (prefix,) = named_shards([given.shard])[:1]
    manifest = read_manifest(prefix)
    if manifest is not None and manifest.role == "training":
        log(f"{prefix} is text for training: scores on it say what was remembered. Take its .validation shard.")
    language = given.language or (manifest.language if manifest is not None else "")
    options = ContinuationOptions(
        given.items, given.choices, given.context, given.continuation, given.seed, language, given.domain
    )
    tokenizer = _tokenizer(prefix, given.tokenizer, manifest.tokenizer_sha256 if manifest is not None else None)
    if given.output.exists() and not given.overwrite:
        raise ConfigError(f"{given.output} is there already: choose another --output, or replace it with --overwrite.")
    count = write_items(prefix, tokenizer, given.output, options)
    few = "" if count == given.items else f", not {given.items:,}: there are no more documents that are long enough"
    log(f"wrote {given.output}: {count:,} questions with {given.choices} choices each{few}")
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor corpus probe",
        description="Make multiple-choice questions from held-out text: the true continuation of a passage against "
        "continuations of other documents. A run scores them at every evaluation (evaluation.probes).",
        epilog="example:\n  megakor corpus probe shards/ko.validation --output probes/ko.jsonl --domain general",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = ContinuationOptions()
    add = parser.add_argument
    add("shard", type=Path, metavar="PREFIX")
    add("--output", type=Path, required=True, metavar="FILE", help="JSONL: question, choices, answer, language, domain")
    add("--overwrite", action="store_true", help="replace an output that is there")
    add("--tokenizer", type=Path, metavar="DIRECTORY", help="default: one nearby with the hash that the manifest names")
    add("--items", type=int, default=default.items, metavar="N", help=f"questions (default: {default.items})")
    add("--choices", type=int, default=default.choices, metavar="N", help=f"of each (default: {default.choices})")
    add("--context", type=int, default=default.context, metavar="WORDS", help=f"default: {default.context}")
    add("--continuation", type=int, default=default.continuation, metavar="WORDS", help="of each choice (default: 8)")
    add("--seed", type=int, default=default.seed, help="default: 0")
    add("--language", default="", help="default: that of the manifest")
    add("--domain", default="", help="general, domain, or a word of your own: scores are told by it")
    return parser


def _tokenizer(prefix: Path, given: Path | None, sha256: str | None) -> Tokenizer:
    if given is not None:
        return Tokenizer.load(given)
    found = find_tokenizer(prefix, sha256) if sha256 is not None else None
    if found is None:
        raise ConfigError(f"the tokenizer of {prefix} was not found nearby. Name it with --tokenizer.")
    return Tokenizer.load(found)
