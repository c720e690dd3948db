"""The command lines that train and compare tokenizers: arguments in, exit code out."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from megakor.corpus.tokenizer_comparison import ComparisonOptions, compare_tokenizers
from megakor.corpus.tokenizer_options import MARKERS, NORMALIZE, TokenizerOptions
from megakor.corpus.tokenizer_patterns import DIGITS, FAMILIES, O200K, RUNS, WHITESPACE
from megakor.corpus.tokenizer_training import train_tokenizer
from megakor.errors import ConfigError, ExitCode, MegakorError, report

_INPUT = "LANGUAGE=FILE ..."
_INPUT_HELP = (
    "JSON Lines, Parquet, Arrow, text files, globs, directories, hf:DATASET; "
    "further files belong to the language before"
)
_NAME = re.compile(r"[A-Za-z][\w.-]*")


def train_tokenizer_command(arguments: Sequence[str] | None = None) -> int:
    """`tools/train_tokenizer.py`. Returns the exit code."""
    given = _training_parser().parse_args(arguments)

    def action() -> None:
        options = TokenizerOptions(
            inputs=grouped("--input", given.input),
            output=given.output,
            vocabulary_size=given.vocab_size,
            weights=_weights(given.weights),
            max_megabytes=given.max_megabytes,
            seed=given.seed,
            json_key=given.json_key,
            text_unit=given.text_unit,
            on_error=given.on_error,
            pieces=given.pieces,
            digits=given.digits,
            whitespace=given.whitespace,
            normalize=given.normalize,
            special_tokens=tuple(given.special_tokens),
            markers=_markers(given),
            reserved=given.reserved,
            overwrite=given.overwrite,
        )
        train_tokenizer(options, _log)

    return _run(action)


def compare_tokenizers_command(arguments: Sequence[str] | None = None) -> int:
    """`tools/compare_tokenizers.py`. Returns the exit code."""
    given = _comparison_parser().parse_args(arguments)

    def action() -> None:
        options = ComparisonOptions(
            tokenizers=dict(_pairs("--tokenizer", given.tokenizer)),
            inputs=grouped("--input", given.input),
            max_megabytes=given.max_megabytes,
            seed=given.seed,
            json_key=given.json_key,
            text_unit=given.text_unit,
            on_error=given.on_error,
            json_file=given.json,
            csv_file=given.csv,
        )
        for line in compare_tokenizers(options):
            print(line)

    return _run(action)


def grouped(option: str, values: Sequence[str]) -> dict[str, list[str]]:
    """LANGUAGE=FILE FILE LANGUAGE=FILE ... as language -> files: a shell may have spread a glob into several words.

    A word that names an existing file is a file, whatever signs it has (`date=2024/part.jsonl`).
    """
    found: dict[str, list[str]] = {}
    language = ""
    for value in values:
        name, separator, path = value.partition("=")
        if separator and _NAME.fullmatch(name) and not Path(value).exists():
            language, value = name, path
        if not language or not value:
            raise ConfigError(f"{option} {value}: write LANGUAGE=VALUE, such as ko=korean.jsonl.")
        found.setdefault(language, []).append(value)
    return found


def _training_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train a byte-level BPE tokenizer on several languages.")
    add = parser.add_argument
    add("--vocab-size", type=int, required=True, help="ids in all, special tokens included")
    add("--output", type=_directory, required=True, metavar="DIRECTORY")
    _add_inputs(parser, megabytes=100.0)
    add("--weights", nargs="+", metavar="LANGUAGE=SHARE", help="shares of the training text; default: equal")
    add("--pieces", default=O200K, choices=FAMILIES, help=f"what merges may not cross; default: {O200K}")
    add("--digits", type=int, default=3, choices=DIGITS, help="digits in groups of up to 3 (default), or each alone")
    add("--whitespace", default=RUNS, choices=WHITESPACE, help="runs may become tokens (default), or each mark alone")
    add("--normalize", default="none", choices=NORMALIZE, help="of every text that is encoded; default: none")
    add("--special-tokens", nargs="*", default=[], metavar="TOKEN", help="more tokens that text cannot spell")
    add(
        "--markers",
        nargs="*",
        metavar="TOKEN",
        help=f"tokens that text may spell; default: {' '.join(MARKERS)}",
    )
    add("--reserved", type=int, default=0, metavar="N", help="ids kept for later: <|reserved_0|> and so on")
    add("--overwrite", action="store_true", help="replace another tokenizer of this name")
    return parser


def _comparison_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare tokenizers on the same text.")
    add = parser.add_argument
    add(
        "--tokenizer",
        nargs="+",
        required=True,
        metavar="NAME=PATH",
        help="a directory with tokenizer.json, or a SentencePiece .model file; the others are related to the first",
    )
    _add_inputs(parser, megabytes=10.0)
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--csv", type=Path, metavar="FILE", help="write the figures there")
    return parser


def _add_inputs(parser: argparse.ArgumentParser, megabytes: float) -> None:
    add = parser.add_argument
    add("--input", nargs="+", required=True, metavar=_INPUT, help=_INPUT_HELP)
    add("--max-megabytes", type=float, default=megabytes, help=f"of text, over all languages; default: {megabytes:g}")
    add("--seed", type=int, default=1234, help="of the sample, where there is more text than that")
    add("--json-key", "--json-keys", default="text", metavar="KEY", help="key or column of the text; default: text")
    add(
        "--text-unit",
        default="file",
        choices=("file", "paragraph", "line"),
        help="what a document of a .txt file is; default: file",
    )
    add("--on-error", default="fail", choices=("fail", "skip"), help="what to do about documents that cannot be read")


def _directory(name: str) -> Path:
    if not name:
        raise argparse.ArgumentTypeError("no name is given; an empty one would be the directory of the shell")
    return Path(name)


def _markers(given: argparse.Namespace) -> tuple[str, ...]:
    """Those asked for, else the usual ones that are not asked for as special tokens."""
    if given.markers is not None:
        return tuple(given.markers)
    return tuple(name for name in MARKERS if name not in given.special_tokens)


def _pairs(option: str, values: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [value.partition("=") for value in values]
    for value, (name, separator, content) in zip(values, pairs, strict=True):
        if not (name and separator and content):
            raise ConfigError(f"{option} {value}: write NAME=VALUE.")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise ConfigError(f"{option} {' '.join(values)}: a name is there twice.")
    return [(name, content) for name, _, content in pairs]


def _weights(values: Sequence[str] | None) -> dict[str, float] | None:
    return {name: _number(share) for name, share in _pairs("--weights", values)} if values else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--weights: {text!r} is not a number.") from None


def _run(action: Callable[[], object]) -> int:
    try:
        action()
    except MegakorError as error:
        return report(error)
    return int(ExitCode.DONE)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
