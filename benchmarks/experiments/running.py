"""Many runs in one process, each a config of MegaKor that is started by `megakor pretrain`; finished ones are skipped,
and one that was stopped goes on from its checkpoint."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from megakor.checkpoint.base import CHECKPOINTS
from megakor.checkpoint.listing import our_directories
from megakor.cli import main
from megakor.config.load import config_text
from megakor.config.schema import Config
from megakor.errors import ConfigError, ExitCode, MegakorError, report
from megakor.launch.in_turn import Command, last_words
from megakor.report.metrics import read_metrics, surviving
from megakor.report.records import evaluations
from megakor.storage import make_directory, storage_errors, write_text

FINISHED = "finished"
"""A file in the directory of a run that ended well."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Planned:
    """One run; its name is unique in its output."""

    name: str
    config: Config

    @property
    def directory(self) -> Path:
        """Of the run."""
        return Path(self.config.run.dir)

    @property
    def finished(self) -> bool:
        """Whether it has ended well."""
        return (self.directory / FINISHED).exists()


def carry_out(runs: Sequence[Planned], output: Path, keep: bool = False) -> None:
    """Run what is not finished, one after another. Configs and logs go into `output`.

    Args:
        keep: the last checkpoint of each run stays.

    Raises:
        ConfigError: a run was begun with other settings.
        MegakorError: one failed; the same command goes on.
    """
    for run in runs:
        path = output / "configs" / f"{run.name}.yaml"
        text = config_text(run.config)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(f"{run.directory} was begun with other settings than {path} would have now.")
        if run.finished:
            continue
        make_directory(path.parent)
        write_text(path, text)
        began = time.monotonic()
        check(run_here(Command(run.name, ("pretrain", str(path)), output / "logs" / f"{run.name}.log")), run.name)
        say(f"{run.name}: {run.config.train.tokens:,} tokens in {time.monotonic() - began:.0f} s")
        write_text(run.directory / FINISHED, "")
        if not keep:
            drop_checkpoints(run.directory)


def run_here(command: Command) -> int:
    """A verb of megakor in this process, its words in the log; returns the exit code.

    Raises KeyboardInterrupt where the run was told to stop.
    """
    make_directory(command.log.parent)
    with storage_errors(command.log):
        log = command.log.open("a", encoding="utf-8")
    with log, redirect_stdout(log), redirect_stderr(log):
        code = main(list(command.arguments))
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        say(f"{command.name} failed:\n  " + "\n  ".join(last_words(command.log)))
    return code


def check(code: int, name: str) -> None:
    """Raises MegakorError for an exit code that is none of success."""
    if code:
        raise MegakorError(f"{name} ended with exit code {code}. The same command goes on when that is mended.")


def drop_checkpoints(directory: Path) -> None:
    """Remove those of a finished run: what was measured is in its metrics."""
    for path in our_directories(directory / CHECKPOINTS):
        with storage_errors(path):
            shutil.rmtree(path)


def losses(directory: Path) -> dict[int, dict[str, float]]:
    """Tokens -> validation set -> loss (nats per token) of a run."""
    found = evaluations(surviving(read_metrics(directory / "metrics.jsonl")))
    return {tokens: {record.source: record.loss for record in records} for tokens, records in found.items()}


def began_at(directory: Path) -> float:
    """When a run began, in seconds since 1970."""
    return float(read_metrics(directory / "metrics.jsonl")[0]["time"])


def speed(directory: Path) -> float:
    """Median tokens per second of a run's steps."""
    found = sorted(line["tokens_per_second"] for line in read_metrics(directory / "metrics.jsonl") if "lr" in line)
    return float(found[len(found) // 2])


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> list[Result]:
    """`work` of every item, `jobs` at a time in processes of their own with one thread each; here, if only one."""
    if jobs == 1:
        return [work(item) for item in items]
    os.environ["OMP_NUM_THREADS"] = "1"  # read by each process when it imports torch
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, items))


def exit_code(experiment: Callable[[], None]) -> int:
    """Do it; a problem that a user can mend is said in a sentence."""
    try:
        experiment()
    except MegakorError as error:
        return report(error)
    return int(ExitCode.DONE)


def say(line: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
