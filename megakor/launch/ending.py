"""What the end of all ranks means for the run: whether another start is worth it.

    python -m megakor.launch.ending CODE CONFIG [KEY=VALUE ...]

says so in a sentence, and ends with 75 if the run is to be started again, and with the code of the run otherwise
(docs/exit-codes.md). The batch scripts and `megakor launch` ask it after every attempt.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from megakor.checkpoint.listing import checkpoint_directories
from megakor.config.load import load_config
from megakor.errors import ExitCode, MegakorError, report
from megakor.json_lines import cut_torn_line, read_json_lines
from megakor.storage import make_directory, storage_errors

MOST_IN_VAIN = 3
"""Starts in a row that ended without a newer checkpoint; then something is wrong that another one does not mend."""
ATTEMPTS = "attempts.jsonl"
"""In the logs of a run: how each attempt ended that was worth another one."""
_WORTH = (ExitCode.REQUEUE, ExitCode.LOST)


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended."""

    code: int
    checkpoint: str
    """The newest one; empty where there is none."""
    job: str
    """Of the scheduler; empty without one. A job that somebody submits anew begins to count anew."""
    time: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Ending:
    """What to do now."""

    code: int
    """75: start the run again. Otherwise the exit code of the run."""
    words: str


def code_of_ranks(code: int) -> int:
    """The exit code of a run by that of srun or of a process: a rank that a signal killed was lost."""
    killed = code < 0 or (code > 128 and code != ExitCode.INTERRUPTED)
    return int(ExitCode.LOST) if killed else code


def conclude_attempt(run: Path, code: int, job: str) -> Ending:
    """Remember how an attempt of a job ended, and say what to do.

    Raises:
        StorageError, DataError: the logs of the run cannot be written or read.
    """
    code = code_of_ranks(code)
    if code not in _WORTH:
        return Ending(code, _for_good(code))
    saved = checkpoint_directories(run / "checkpoints")
    newest = saved[-1].name if saved else ""
    in_vain = _add(run / "logs" / ATTEMPTS, Attempt(code, newest, job, time.time()))
    why = "saved, as it was asked to" if code == ExitCode.REQUEUE else "a rank was lost"
    if in_vain >= MOST_IN_VAIN:
        return Ending(
            code,
            f"{why}; {in_vain} starts in a row have saved nothing newer than {newest or 'the start'}, so the run is "
            f"not started again. Is the time limit too short, or a node broken? See the logs in {run / 'logs'}.",
        )
    return Ending(int(ExitCode.REQUEUE), f"{why}; goes on from {newest or 'its start'}")


def _for_good(code: int) -> str:
    if code == ExitCode.DONE:
        return "all ranks have ended well: trained to the end, or saved and stopped as asked"
    return f"ended with exit code {code}, which another start would not mend (docs/exit-codes.md)"


def _add(path: Path, attempt: Attempt) -> int:
    """Append an attempt; returns how many in a row, this one included, left the same newest checkpoint."""
    make_directory(path.parent)
    with storage_errors(path), path.open("a+b") as file:
        cut_torn_line(path)
        file.write(json.dumps(asdict(attempt)).encode() + b"\n")
    in_vain = 0
    for _, line in read_json_lines(path):
        alike = (line.get("checkpoint"), line.get("job")) == (attempt.checkpoint, attempt.job)
        in_vain = in_vain + 1 if alike else 0
    return in_vain


def job_of(environment: Mapping[str, str]) -> str:
    """The number of the Slurm job, which a requeue keeps; of the array, where tasks go on for each other."""
    return environment.get("SLURM_ARRAY_JOB_ID") or environment.get("SLURM_JOB_ID", "")


def main(arguments: Sequence[str]) -> int:
    """See the top of the file."""
    code, config, *overrides = arguments
    try:
        run = Path(load_config(config, overrides).run.dir)
        ending = conclude_attempt(run, int(code), job_of(os.environ))
    except MegakorError as error:
        return report(error)
    print(ending.words, flush=True)
    return ending.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
