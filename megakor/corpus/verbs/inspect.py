"""`megakor corpus inspect`: what documents of a shard read like, token by token."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from megakor.corpus.fields.expression import parse
from megakor.corpus.inspection.choosing import drawn, matching, numbered
from megakor.corpus.inspection.prefixes import named_shards
from megakor.corpus.inspection.showing import DocumentPrinter, read_shown
from megakor.corpus.inspection.tokenizer_search import find_tokenizer
from megakor.corpus.manifest import read_manifest
from megakor.corpus.shard import ShardReader
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError, DataError, ExitCode

_SHOWN = 3
_NAMED = 8


def main(arguments: Sequence[str]) -> int:
    """Print documents of a shard."""
    given = _parser().parse_args(arguments)
    prefix = _only_shard(given.shard)
    shard = ShardReader(prefix)
    numbers = _numbers(given, prefix, shard.documents)
    printer = DocumentPrinter(_tokenizer(prefix, given.tokenizer), _colour(given.color), given.ids)
    cast(TextIO, sys.stdout).reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    for document in read_shown(prefix, numbers, given.tokens or None):
        if given.json:
            print(json.dumps(printer.record(document), ensure_ascii=False, default=str))
        else:
            print(printer.text(document), end="\n\n")
    if not numbers:
        print(f"{prefix}: no document to show out of {shard.documents:,}", file=sys.stderr)
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor corpus inspect",
        description="Show documents decoded, with their token boundaries, ids and metadata: the first ones, or those "
        "that the options choose. Documents are counted from 0.",
    )
    add = parser.add_argument
    add("shard", type=Path, metavar="PREFIX", help="a shard, or a directory with a single one")
    add("--tokenizer", type=Path, metavar="DIRECTORY", help="default: one nearby with the hash that the manifest names")
    add("--document", type=int, action="append", metavar="N", help="this document; several times; -1 is the last one")
    add("--random", type=int, metavar="K", help="K documents by chance")
    add("--seed", type=int, default=0, help="of --random (default: 0)")
    add("--where", metavar="EXPRESSION", help="documents whose metadata fit, such as 'quality >= 3 and not synthetic'")
    add("--limit", type=int, default=_SHOWN, metavar="K", help=f"documents shown otherwise (default: {_SHOWN})")
    add("--tokens", type=int, default=400, metavar="N", help="first tokens shown of each; 0: all (default: 400)")
    add("--ids", action="store_true", help="show the token ids too")
    add("--color", choices=["auto", "always", "never"], default="auto", help="auto: on a terminal without NO_COLOR")
    add("--json", action="store_true", help="one object a line, for programs")
    return parser


def _only_shard(name: Path) -> Path:
    """The prefix that is named, or the only one in a directory. Raises ConfigError where there are several."""
    prefixes = named_shards([name])
    if len(prefixes) > 1:
        shown = ", ".join(map(str, prefixes[:_NAMED])) + (", ..." if len(prefixes) > _NAMED else "")
        raise ConfigError(f"{name} holds {len(prefixes):,} shards; name one of them: {shown}")
    return prefixes[0]


def _numbers(given: argparse.Namespace, prefix: Path, documents: int) -> list[int]:
    for name in ("random", "limit", "tokens"):
        if (getattr(given, name) or 0) < 0:
            raise ConfigError(f"--{name} {getattr(given, name)}: give a number of at least 0.")
    if given.document is not None:
        if given.where is not None or given.random is not None:
            raise ConfigError("--document chooses documents by itself; leave out --where and --random.")
        return numbered(prefix, documents, given.document)
    if given.where is not None:
        count, seed = (given.limit, None) if given.random is None else (given.random, given.seed)
        return matching(prefix, parse(given.where), count, seed)
    if given.random is not None:
        return drawn(documents, given.random, given.seed)
    return list(range(min(given.limit, documents)))


def _tokenizer(prefix: Path, given: Path | None) -> Tokenizer | None:
    """The one given, which must be the shard's own where a manifest names it; else one found nearby."""
    manifest = read_manifest(prefix)
    if given is not None:
        tokenizer = Tokenizer.load(given)
        if manifest is not None and tokenizer.sha256 != manifest.tokenizer_sha256:
            raise DataError(
                f"{prefix} was made with tokenizer {manifest.tokenizer_sha256[:16]}..., and {given} is "
                f"{tokenizer.sha256[:16]}...: its text would be wrong. Name the other one with --tokenizer."
            )
        return tokenizer
    if manifest is None:
        print("no manifest names the tokenizer: ids only. Name one with --tokenizer.", file=sys.stderr)
        return None
    found = find_tokenizer(prefix, manifest.tokenizer_sha256)
    if found is None:
        print(
            f"no tokenizer with SHA-256 {manifest.tokenizer_sha256[:16]}... near {prefix} or here: ids only. Name it "
            "with --tokenizer.",
            file=sys.stderr,
        )
        return None
    print(f"tokenizer: {found} (its hash is the shard's)", file=sys.stderr)
    return Tokenizer.load(found)


def _colour(wanted: str) -> bool:
    return wanted == "always" or (wanted == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
