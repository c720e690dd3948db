"""What the verbs that make shards out of shards have in common on the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from megakor.config.quantities import parse_tokens
from megakor.corpus.inspection.prefixes import named_shards
from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.corpus.operations.workplace import Output
from megakor.corpus.shard import idx_path
from megakor.corpus.shard_writer import SHARD_SUFFIXES, shard_file, withdraw
from megakor.errors import ConfigError, ExitCode, StorageError
from megakor.storage import storage_errors

LEAST_MEMORY = 64
Operation = Callable[[list[Path], Output], object]


def log(line: str) -> None:
    """A line for people."""
    print(line, file=sys.stderr, flush=True)


def parser_of(verb: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser with the inputs, the output and what is done about shards that are there."""
    parser = argparse.ArgumentParser(
        prog=f"megakor corpus {verb}",
        description=description,
        epilog=f"example:\n  megakor corpus {verb} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("shards", nargs="+", type=Path, metavar="PREFIX", help="paths without .bin and .idx, or directories of shards")
    add(
        "--output",
        type=Path,
        metavar="PREFIX",
        help=f"default for a single input: {_default_output(Path('PREFIX'), verb)}",
    )
    add("--overwrite", action="store_true", help="replace an output that is there")
    add(
        "--with-validation",
        action="store_true",
        help="do the same to the PREFIX.validation of the inputs, which gives OUTPUT.validation",
    )
    parser.set_defaults(verb=verb)
    return parser


def token_count(text: str) -> int:
    """An amount of tokens as in a config: 4096, 4Ki, 1M; for argparse."""
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_memory(parser: argparse.ArgumentParser) -> None:
    """`--memory MB`; `memory_bytes` reads it."""
    parser.add_argument("--memory", type=int, default=1024, metavar="MB", help="to work in, about (default: 1024)")


def memory_bytes(given: argparse.Namespace) -> int:
    """Raises ConfigError for less than an operation needs."""
    if given.memory < LEAST_MEMORY:
        raise ConfigError(f"--memory {given.memory}: at least {LEAST_MEMORY} MB are needed.")
    return int(given.memory) << 20


def carry_out(given: argparse.Namespace, operation: Operation) -> int:
    """Do it to the shards, and first to their validation shards where that is asked for. Raises MegakorError."""
    inputs = _inputs(given.shards)
    to = _only_output(given) if given.output is None else given.output
    if to.name in ("", ".."):
        raise ConfigError(f"--output {to}: names a directory; give the path of the new shard, without .bin and .idx.")
    with storage_errors(to):  # a directory that may not be entered, a name that is too long
        shard_file(to, VALIDATION_SUFFIX + SHARD_SUFFIXES[2]).exists()
    validation = [path for prefix in inputs if idx_path(path := shard_file(prefix, VALIDATION_SUFFIX)).exists()]
    if given.with_validation and not validation:
        raise ConfigError(f"--with-validation: none of {', '.join(map(str, inputs))} has a validation shard.")
    with _taken_back(to, given.verb):
        if given.with_validation:
            operation(validation, Output(shard_file(to, VALIDATION_SUFFIX), given.overwrite))
        operation(inputs, Output(to, given.overwrite, given.with_validation))
    if validation and not given.with_validation and not _validation_shards(to, given.verb):
        log(_without_validation(to, given.verb))
    return ExitCode.DONE


@contextmanager
def _taken_back(output: Path, verb: str) -> Iterator[None]:
    """Where the block fails, remove the validation shards that it made: they would stand without their training shard,
    or beside an older one whose text they may hold."""
    before = _validation_shards(output, verb)
    try:
        yield
    except BaseException:
        for prefix, made in _validation_shards(output, verb).items():
            if before.get(prefix) != made:
                with suppress(StorageError):
                    withdraw(prefix)
        raise


def _validation_shards(output: Path, verb: str) -> dict[Path, tuple[int, int]]:
    """Prefixes of the validation shards of an output, or of the parts of a split, and which file each index is."""
    pattern = f"{escape(output.name)}{'_*' if verb == 'split' else ''}{VALIDATION_SUFFIX}.idx"
    own = list(output.parent.glob(pattern))
    return {path.with_suffix(""): (path.stat().st_ino, path.stat().st_mtime_ns) for path in own}


def _without_validation(output: Path, verb: str) -> str:
    if verb == "split":
        return f"the parts {output}_... get no validation shards (--with-validation makes them)"
    return f"{output} gets no validation shard (--with-validation makes one)"


def _only_output(given: argparse.Namespace) -> Path:
    if len(given.shards) > 1 or given.shards[0].is_dir():
        raise ConfigError(f"several shards: name the new one with --output (megakor corpus {given.verb} --help).")
    return _default_output(given.shards[0], given.verb)


def _default_output(prefix: Path, verb: str) -> Path:
    """A name beside the input; the parts of a split add their own ending to it."""
    return prefix if verb == "split" else shard_file(prefix, f"-{verb}")


def _inputs(names: Sequence[Path]) -> list[Path]:
    """The prefixes that are named; of a directory not the validation shards."""
    found: list[Path] = []
    for name in names:
        prefixes = named_shards([name])
        found += [p for p in prefixes if not (name.is_dir() and p.name.endswith(VALIDATION_SUFFIX))]
    return found
