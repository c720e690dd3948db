"""`megakor checkpoint prune`: room on the disk, by the rules that a run keeps anyway."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.checkpoint.inventory import checkpoints_of
from megakor.checkpoint.pruning import Fate, Rules, fates, prune
from megakor.config.load import load_config
from megakor.config.quantities import parse_tokens
from megakor.errors import ConfigError, ExitCode
from megakor.lock import lock_directory
from megakor.text_table import aligned, harmless
from megakor.units import counted, data_size


def main(arguments: Sequence[str]) -> int:
    """Say what would go, and delete it with --yes."""
    given = _parser().parse_args(arguments)
    directory = checkpoints_of(given.run)
    rules = _rules(given.run, given.keep, given.keep_every)
    how = "sizes" if given.sizes else "hashes"
    if not given.yes:
        planned = fates(directory, rules, how)  # type: ignore[arg-type]
        print(_table(planned))
        print(f"{_sum(planned)} would go. Nothing was deleted; --yes does it.")
        return ExitCode.DONE
    with lock_directory(given.run, "A run that goes on keeps what checkpoint.keep says by itself; wait for its end."):
        planned = fates(directory, rules, how)  # type: ignore[arg-type]
        print(_table(planned))
        left = prune(planned)
    print(f"{_sum(planned)} deleted.")
    for fate in left:
        print(harmless(f"{fate.entry.path}: {fate.why}"))
    return ExitCode.DONE


def _rules(run: Path, keep: int | None, keep_every: int | None) -> Rules:
    """Those of the run's own configuration, where the command line has no others."""
    path = run / "config.yaml"
    if not path.is_file():
        if keep is None:
            raise ConfigError(f"{path} is not there, so it is not known what the run keeps. Say it with --keep N.")
        return Rules(keep, keep_every, pin_period=True)
    config = load_config(path)
    settings = config.checkpoint
    return Rules(
        settings.keep if keep is None else keep,
        settings.keep_every if keep_every is None else keep_every,
        config.report.weight_distance,
    )


def _table(planned: Sequence[Fate]) -> str:
    rows = [["checkpoint", "", "size", "why"]]
    for fate in planned:
        manifest = fate.entry.manifest
        size = data_size(manifest.bytes) if manifest is not None else ""
        rows.append([fate.entry.path.name, "goes" if fate.goes else "stays", size, fate.why])
    return "\n".join(map(harmless, aligned(rows, left=4)))


def _sum(planned: Sequence[Fate]) -> str:
    going = [fate.entry for fate in planned if fate.goes]
    size = sum(entry.manifest.bytes for entry in going if entry.manifest is not None)
    return f"{counted(len(going), 'checkpoint')} ({data_size(size)})"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of checkpoints")
    return int(text)


def _tokens(text: str) -> int:
    try:
        tokens = parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if tokens < 1:
        raise argparse.ArgumentTypeError(f"{text} tokens is no distance between checkpoints")
    return tokens


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor checkpoint prune",
        description="Delete the checkpoints of a run that its configuration does not ask to keep, and what interrupted "
        "saves have left. Says what would go; --yes does it. The newest whole checkpoint always stays, and so does "
        "whatever is no checkpoint.",
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="run directory")
    add("--keep", type=_number, metavar="N", help="newest ones to keep, 0: all (default: the run's checkpoint.keep)")
    add("--keep-every", type=_tokens, metavar="TOKENS", help="keep the first one at or after each multiple, too")
    add("--sizes", action="store_true", help="look for the newest whole one by sizes, without reading its files")
    add("--yes", action="store_true", help="delete")
    return parser
