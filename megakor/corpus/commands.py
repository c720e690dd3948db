"""The command lines of the corpus tools: arguments in, exit code out. tools/*.py call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer
from megakor.errors import ConfigError, ExitCode, MegakorError, report


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(action: Callable[[], object]) -> int:
    try:
        action()
    except MegakorError as error:
        return report(error)
    return int(ExitCode.DONE)


def train_tokenizer_command(arguments: Sequence[str] | None = None) -> int:
    """`tools/train_tokenizer.py`. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Train a byte-level BPE tokenizer on several languages.")
    add = parser.add_argument
    add("--input", nargs="+", required=True, metavar="LANGUAGE=FILE", help="may name a language more than once")
    add("--vocab-size", type=int, required=True)
    add("--output", type=Path, required=True, metavar="DIRECTORY")
    add("--weights", nargs="+", metavar="LANGUAGE=SHARE", help="shares of the training text; default: equal")
    add("--max-megabytes", type=float, default=100.0, help="of training text, over all languages")
    add("--seed", type=int, default=1234, help="of the sample, where there is more text than that")
    add("--json-key", default="text")
    given = parser.parse_args(arguments)

    def action() -> None:
        inputs: dict[str, list[str]] = {}
        for language, path in _pairs("--input", given.input):
            inputs.setdefault(language, []).append(path)
        weights = (
            {name: _number(value) for name, value in _pairs("--weights", given.weights)} if given.weights else None
        )
        options = TokenizerOptions(
            inputs, given.output, given.vocab_size, weights, given.max_megabytes, given.seed, given.json_key
        )
        _log(f"wrote {train_tokenizer(options, _log)}")

    return _run(action)


def make_sample_corpus(arguments: Sequence[str] | None = None) -> int:
    """`tools/make_sample_corpus.py`. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Write a synthetic Korean and English corpus as JSON Lines.")
    parser.add_argument("--output", type=Path, required=True, metavar="DIRECTORY", help="gets ko.jsonl and en.jsonl")
    parser.add_argument("--megabytes", type=float, default=3.0, help="of text, for each language")
    parser.add_argument("--seed", type=int, default=1234)
    given = parser.parse_args(arguments)

    def action() -> None:
        for path, documents in write_sample_corpus(given.output, given.megabytes, given.seed).items():
            _log(f"{path}: {documents:,} documents")

    return _run(action)


def _pairs(option: str, values: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [value.partition("=") for value in values]
    for value, (name, separator, content) in zip(values, pairs, strict=True):
        if not (name and separator and content):
            raise ConfigError(f"{option} {value}: write LANGUAGE=VALUE, such as ko=korean.jsonl or ko=0.5.")
    return [(name, content) for name, _, content in pairs]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--weights: {text!r} is not a number.") from None
