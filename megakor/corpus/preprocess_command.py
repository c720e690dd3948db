"""`tools/preprocess_data.py`: text to shards, under Megatron-LM's option names where it has one."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from megakor.corpus.build.job import Job
from megakor.corpus.build.options import TEXT_UNITS, PreprocessOptions
from megakor.corpus.build.plan import WORK_SUFFIX
from megakor.corpus.build.team import Team
from megakor.corpus.engines.load import ENGINE_NAMES
from megakor.corpus.inputs.kinds import KNOWN
from megakor.corpus.preprocess import preprocess
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError, ExitCode, MegakorError, report

_EXAMPLE = """\
example:
  python tools/preprocess_data.py --input 'data/ko/*.jsonl.zst' --tokenizer-model tok/ --output-prefix shards/ko \\
      --workers 32 --lang ko --append-eod
The same command goes on where it was interrupted. It also works on the ranks of mpirun (docs/corpus.md).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. Raises KeyboardInterrupt."""
    given = _parser().parse_args(arguments)
    options = _options(given)
    team = Team()
    try:
        _refuse_directory(given.output_prefix)
        team = Team.detect(os.environ)
        preprocess(options, _log, team)
    except MegakorError as error:
        code = report(error)
        if not isinstance(error, ConfigError):  # the same command would be refused again
            _say_what_is_kept(options)
        if team.size > 1:
            team.abort(code)
        return code
    except KeyboardInterrupt:
        _say_what_is_kept(options)
        if team.size > 1:
            team.abort(ExitCode.INTERRUPTED)
        raise
    except Exception:
        if team.size > 1:
            traceback.print_exc()
            team.abort(1)
        raise
    return int(ExitCode.DONE)


def _refuse_directory(prefix: str) -> None:
    if prefix.endswith(os.sep):
        raise ConfigError(f"--output-prefix {prefix} is a directory: give a name in it, such as {prefix}ko")


def _say_what_is_kept(options: PreprocessOptions) -> None:
    for directory in (shard_file(options.prefix(key), WORK_SUFFIX) for key in options.json_keys):
        if Job(directory).has_begun():
            _log(f"What is done is kept in {directory}: the same command goes on from it.")


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Tokenize text into Megatron .bin/.idx shards.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_inputs(parser.add_argument_group("input").add_argument)
    _add_outputs(parser.add_argument_group("output").add_argument)
    _add_text(parser.add_argument_group("what is done to the text").add_argument)
    _add_holdout(parser.add_argument_group("hold-out").add_argument)
    return parser


def _add_inputs(add) -> None:  # type: ignore[no-untyped-def]  # argparse's own add_argument
    add(
        "--input", nargs="+", required=True, metavar="INPUT",
        help=f"files, directories, quoted globs, or hf:NAME[:CONFIG[:SPLIT]]; {KNOWN}",
    )  # fmt: skip
    add(
        "--json-keys",
        nargs="+",
        default=["text"],
        metavar="KEY",
        help="keys of the text, a shard for each (default: text)",
    )
    add("--text-unit", choices=TEXT_UNITS, default="file", help="what a document of a .txt file is (default: file)")
    add("--metadata-keys", nargs="+", default=[], metavar="KEY", help="further keys to keep in PREFIX.parquet")
    add(
        "--lang",
        "--language",
        dest="language",
        default="",
        help="of all documents: ko, en, ... (default: none is named)",
    )
    add("--language-key", metavar="KEY", help="key of each document's language")
    add("--source", default="", help="name of the source in the metadata (default: path of the input)")
    add("--source-key", metavar="KEY", help="key of each document's source")
    add("--on-error", choices=["fail", "skip"], default="fail", help="documents that cannot be read (default: fail)")
    add("--max-errors", type=int, metavar="N", help="skip at most N of them (default: any number)")


def _add_outputs(add) -> None:  # type: ignore[no-untyped-def]
    add("--output-prefix", required=True, metavar="PREFIX", help="writes PREFIX.bin, .idx, .parquet, .json")
    add("--tokenizer-type", default="HuggingFaceTokenizer", help="accepted for Megatron-LM's command lines; not used")
    add("--tokenizer-model", required=True, type=Path, help="directory with tokenizer.json, or a SentencePiece .model")
    add("--engine", choices=ENGINE_NAMES, default="auto", help="default: auto, the fastest that gives the same ids")
    add("--append-eod", action="store_true", help="end documents with the end-of-document token")
    add("--workers", type=int, default=1, help="processes (default: 1); any number gives the same bytes")
    add(
        "--task-megabytes", type=float, metavar="N",
        help="input of one task, which an interruption may lose (default: by the size of the input, 8 to 128); "
        "towards the end of the input tasks are smaller",
    )  # fmt: skip
    add("--shuffle-seed", type=int, default=1234, help="of the order of the documents (default: 1234)")
    add("--no-shuffle", action="store_true", help="keep the order of the input")
    add("--overwrite", action="store_true", help="replace shards that were made from other inputs or options")


def _add_text(add) -> None:  # type: ignore[no-untyped-def]
    add("--normalize", choices=["none", "nfc"], default="none", help="Unicode normalisation (default: none)")
    add("--min-chars", type=int, default=0, metavar="N", help="leave shorter documents out (default: 0)")
    add("--max-chars", type=int, metavar="N", help="leave longer documents out (default: none)")
    add("--where", metavar="EXPRESSION", help="keep documents that fit, such as 'quality >= 3 and not synthetic'")
    add("--prepend", metavar="TEMPLATE", help=r"put before documents, such as '{url}\n'")
    add("--prepend-probability", type=float, default=1.0, metavar="P", help="share of documents (default: 1, all)")
    add("--append", metavar="TEMPLATE", help="put after documents, such as ' {document_id}'")
    add("--append-probability", type=float, default=1.0, metavar="P", help="share of documents (default: 1, all)")
    add("--document-id", metavar="KEY", help="what {document_id} stands for (default: letters from file and position)")
    add("--conditioning-seed", type=int, default=1234, help="of the draws for both (default: 1234)")


def _add_holdout(add) -> None:  # type: ignore[no-untyped-def]
    add("--holdout-share", type=float, default=0.0, help="goes to PREFIX.validation (default: 0)")
    add("--holdout-seed", type=int, default=1234, help="of the choice of these documents (default: 1234)")
    add(
        "--holdout-exclusive-sentences", action="store_true",
        help="take sentences that training has too out of the held-out documents",
    )  # fmt: skip
    add(
        "--holdout-minimum-characters", type=int, default=50,
        help="drop held-out documents that end up shorter than this (default: 50)",
    )  # fmt: skip


def _options(given: argparse.Namespace) -> PreprocessOptions:
    return PreprocessOptions(
        inputs=tuple(given.input),
        output_prefix=Path(given.output_prefix),
        tokenizer=given.tokenizer_model,
        json_keys=tuple(given.json_keys),
        append_eod=given.append_eod,
        workers=given.workers,
        engine=given.engine,
        language=given.language,
        language_key=given.language_key,
        source=given.source,
        source_key=given.source_key,
        metadata_keys=tuple(given.metadata_keys),
        text_unit=given.text_unit,
        normalize=given.normalize == "nfc",
        minimum_characters=given.min_chars,
        maximum_characters=given.max_chars,
        where=given.where,
        prepend=given.prepend,
        prepend_probability=given.prepend_probability,
        append=given.append,
        append_probability=given.append_probability,
        document_id=given.document_id,
        conditioning_seed=given.conditioning_seed,
        holdout_share=given.holdout_share,
        holdout_seed=given.holdout_seed,
        holdout_exclusive_sentences=given.holdout_exclusive_sentences,
        holdout_minimum_characters=given.holdout_minimum_characters,
        shuffle_seed=None if given.no_shuffle else given.shuffle_seed,
        on_error=given.on_error,
        max_errors=given.max_errors,
        overwrite=given.overwrite,
        task_bytes=None if given.task_megabytes is None else round(given.task_megabytes * 1_000_000),
    )
