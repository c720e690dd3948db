"""`megakor corpus regroup`: documents into rows of one length."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.manifest import VALIDATION_SUFFIX, read_manifest
from megakor.corpus.operations.crosslingual import LanguageSampling
from megakor.corpus.operations.regroup import regroup
from megakor.corpus.operations.regroup_options import BEST_FIT, CROSS_LINGUAL, MASKS, RegroupOptions
from megakor.corpus.operations.workplace import Output
from megakor.corpus.shard_writer import shard_file
from megakor.corpus.tokenizer import PADDING, Tokenizer
from megakor.errors import ConfigError, ExitCode


def main(arguments: Sequence[str]) -> int:
    """Regroup shards."""
    given = _parser().parse_args(arguments)
    options = RegroupOptions(
        row_tokens=given.row_tokens,
        mode=given.mode,
        pad_id=_pad_id(given.pad_id, given.tokenizer, given.shards),
        seed=given.seed,
        window_tokens=given.window_tokens,
        loss_off=given.loss_off,
        sampling=LanguageSampling(given.alpha, _beta(given.beta), given.rho),
        longest_document=given.longest_document,
        pair_field=given.pair_field,
    )
    if given.with_validation:  # first, so that a lack of it is found before much work
        validation = [shard_file(prefix, VALIDATION_SUFFIX) for prefix in given.shards]
        regroup(validation, Output(shard_file(given.output, VALIDATION_SUFFIX), given.overwrite), options, _log)
    regroup(given.shards, Output(given.output, given.overwrite, given.with_validation), options, _log)
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor corpus regroup",
        description="Pack the documents of shards into rows of one length and write them as a new shard, with "
        "PREFIX.rows.arrow beside it, which says what each row is made of.",
    )
    add = parser.add_argument
    add("shards", nargs="+", type=Path, metavar="PREFIX", help="paths without .bin and .idx")
    add("--output", required=True, type=Path, metavar="PREFIX")
    add("--row-tokens", type=int, default=4096, metavar="N", help="default: 4096")
    add(
        "--mode",
        default=BEST_FIT,
        choices=[BEST_FIT, CROSS_LINGUAL],
        help="best-fit: no document that fits into a row is cut; cross-lingual: every row has two languages or more "
        "and attention crosses its documents (default: best-fit)",
    )
    add("--tokenizer", type=Path, metavar="DIRECTORY", help=f"rows are filled up with its {PADDING}")
    add("--pad-id", type=int, metavar="ID", help="rows are filled up with this token")
    add("--seed", type=int, default=1234)
    add("--window-tokens", type=int, default=16 << 20, metavar="N", help="documents looked at together (default: 16M)")
    add(
        "--loss-off",
        default="prefix",
        choices=list(MASKS),
        help="text of templates (--prepend, --append of the build) that is not to be predicted (default: prefix)",
    )
    cross = parser.add_argument_group("cross-lingual rows")
    add = cross.add_argument
    add(
        "--alpha",
        type=float,
        default=1.0,
        help="the first document of a row is of language l with alpha x its share of the tokens + (1 - alpha) x beta "
        "(default: 1)",
    )
    add("--beta", nargs="+", metavar="LANGUAGE=WEIGHT", help="default: all equal")
    add("--rho", type=float, default=0.5, help="probability that the next document is of another language (0.5)")
    add("--longest-document", type=int, metavar="N", help="longer ones are cut (default: 7/8 of a row)")
    add("--pair-field", metavar="FIELD", help="metadata field whose value parallel documents share")
    parser.add_argument(
        "--with-validation",
        action="store_true",
        help="make PREFIX.validation of the output from that of each input too",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an output that is there")
    return parser


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


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
