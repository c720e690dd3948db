"""`megakor corpus regroup`: documents into rows of one length."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.manifest import read_manifest
from megakor.corpus.operations.crosslingual import LanguageSampling
from megakor.corpus.operations.regroup import regroup
from megakor.corpus.operations.regroup_options import BEST_FIT, CROSS_LINGUAL, MASKS, RegroupOptions
from megakor.corpus.operations.workplace import Output
from megakor.corpus.tokenizer import PADDING, Tokenizer
from megakor.corpus.verbs.arguments import carry_out, log, parser_of, token_count
from megakor.errors import ConfigError

_CROSS_LINGUAL_ONLY = ("alpha", "beta", "rho", "longest_document", "pair_field")


def main(arguments: Sequence[str]) -> int:
    """Regroup shards. Raises MegakorError."""
    given = _parser().parse_args(arguments)
    if given.mode != CROSS_LINGUAL:
        _refuse_cross_lingual(given)
    sampling = {"alpha": given.alpha, "beta": _beta(given.beta), "rho": given.rho}
    sampling = {name: value for name, value in sampling.items() if value is not None}

    def operation(shards: list[Path], output: Output) -> object:
        options = RegroupOptions(
            row_tokens=given.row_tokens,
            mode=given.mode,
            pad_id=_pad_id(given.pad_id, given.tokenizer, shards),
            seed=given.seed,
            window_tokens=given.window_tokens,
            loss_off=given.loss_off,
            sampling=LanguageSampling(**sampling),
            longest_document=given.longest_document,
            pair_field=given.pair_field,
        )
        return regroup(shards, output, options, log)

    return carry_out(given, operation)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "regroup",
        "Pack the documents of shards into rows of one length and write them as a new shard, with PREFIX.rows.arrow "
        "beside it, which says what each row is made of.",
        "shards/ko shards/en --output shards/rows --row-tokens 4Ki --tokenizer tok/",
    )
    add = parser.add_argument
    add("--row-tokens", type=token_count, default=4096, metavar="N", help="such as 8192 or 8Ki (default: 4Ki)")
    add(
        "--mode",
        default=BEST_FIT,
        choices=[BEST_FIT, CROSS_LINGUAL],
        help="best-fit: no document that fits into a row is cut; cross-lingual: every row has two languages or more "
        "and attention crosses its documents (default: best-fit)",
    )
    add("--tokenizer", type=Path, metavar="DIRECTORY", help=f"rows are filled up with its {PADDING}")
    add("--pad-id", type=int, metavar="ID", help="rows are filled up with this token")
    add("--seed", type=int, default=1234, help="default: 1234")
    add(
        "--window-tokens",
        type=token_count,
        default=16 << 20,
        metavar="N",
        help="documents looked at together (default: 16Mi)",
    )
    add(
        "--loss-off",
        default="prefix",
        choices=list(MASKS),
        help="text of templates (--prepend, --append of the build) that is not to be predicted (default: prefix)",
    )
    _add_cross_lingual(parser)
    return parser


def _add_cross_lingual(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(f"cross-lingual rows (--mode {CROSS_LINGUAL})").add_argument
    add(
        "--alpha",
        type=float,
        help="the first document of a row is of language l with alpha x its share of the tokens + (1 - alpha) x beta "
        "(default: 1)",
    )
    add("--beta", nargs="+", metavar="LANGUAGE=WEIGHT", help="default: all equal")
    add("--rho", type=float, help="probability that the next document is of another language (default: 0.5)")
    add("--longest-document", type=token_count, metavar="N", help="longer ones are cut (default: 7/8 of a row)")
    add("--pair-field", metavar="FIELD", help="metadata field whose value parallel documents share")


def _refuse_cross_lingual(given: argparse.Namespace) -> None:
    """Raises ConfigError for an option that would do nothing."""
    names = [f"--{name.replace('_', '-')}" for name in _CROSS_LINGUAL_ONLY if getattr(given, name) is not None]
    if names:
        raise ConfigError(
            f"{', '.join(names)}: only for --mode {CROSS_LINGUAL}, and the mode is {given.mode}; leave out one of them."
        )


def _pad_id(given: int | None, tokenizer: Path | None, shards: Sequence[Path]) -> int:
    """The token that fills rows up: as given, or the tokenizer's own, which has to be that of the shards."""
    if given is not None:
        return given
    if tokenizer is None:
        raise ConfigError("rows are filled up with a token of padding: give --tokenizer DIRECTORY or --pad-id ID.")
    loaded = Tokenizer.load(tokenizer)
    for prefix in shards:
        manifest = read_manifest(prefix)
        if manifest is not None and manifest.tokenizer_sha256 != loaded.sha256:
            raise ConfigError(
                f"{prefix} was made with tokenizer {manifest.tokenizer_sha256[:12]}; "
                f"{tokenizer} is {loaded.sha256[:12]}."
            )
    found = loaded.token_id(PADDING)
    if found is None:
        raise ConfigError(
            f"{tokenizer} has no token {PADDING}: give --pad-id, such as that of its end-of-document token. Padding is "
            "never attended to and never in the loss."
        )
    return found


def _beta(values: Sequence[str] | None) -> dict[str, float] | None:
    if values is None:
        return None
    weights: dict[str, float] = {}
    for value in values:
        language, _, weight = value.partition("=")
        try:
            weights[language] = float(weight)
        except ValueError:
            raise ConfigError(f"--beta {value}: write LANGUAGE=WEIGHT, such as ko=0.5.") from None
    return weights
