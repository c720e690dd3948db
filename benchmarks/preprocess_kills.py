"""Text to shards: are the files the same bytes after kill -9 at any moment, and the same command again?

    python benchmarks/preprocess_kills.py [--kills 20] [--seed 1] [--workers 2]

Every kill has a build of its own, of the corpus and by the command of tests/e2e/corpus_builds.py. Half of the kills
fall at a random moment of the time that an undisturbed build takes, the others at a random moment after the encoding is
over, which is short. One in three hits one worker only, which the build must replace by itself. Then the same command
runs until it is done, and every file is compared with the calm build's.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from setting import print_header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))
from corpus_builds import children, content, kill_all, make_inputs, start, words

_TICK = 0.002
_WORKER_EVERY = 3
_PATIENCE = 300.0
"""Seconds after which a build that lost a worker is taken for stuck."""


def main() -> None:
    options = _options()
    print_header("Preprocessing: kills", ["tokenizers", "pyarrow"])
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        directory = make_inputs(Path(scratch))
        duration, ending = _calm_times(directory, options.workers)
        print(f"A calm build takes {duration:.1f} s, the last {ending:.1f} s of them without encoding.\n")
        print("| kill | of | stage | seconds into the run | runs to the end | files |")
        print("|---|---|---|---|---|---|")
        outcomes = []
        for number in range(options.kills):
            late = chance.uniform(0, ending) if number % 2 else None
            build = _Build(directory, number, options.workers)
            while not build.kill(chance.uniform(0.1, duration), late, number % _WORKER_EVERY == 2):
                late = None if late is None else late / 2  # the build was over
            outcomes.append(build.finish())
            print(f"| {number + 1} | {build.said} | {'identical' if outcomes[-1] else 'DIFFERENT'} |", flush=True)
    print(f"\n{sum(outcomes)} of {len(outcomes)} identical")
    sys.exit(0 if all(outcomes) else 1)


class _Build:
    """One build that is disturbed once."""

    def __init__(self, directory: Path, number: int, workers: int) -> None:
        self._calm = directory / "calm" / "out"
        self._prefix = directory / f"killed{number}" / "out"
        self._work = self._prefix.with_name("out.work")
        self._command = words(directory, self._prefix, "--workers", str(workers))
        self._process: subprocess.Popen[str] | None = None
        self._what = ""
        self.said = ""
        """The middle columns of its row."""

    def kill(self, moment: float, late: float | None, worker: bool) -> bool:
        """Start, and kill after `moment` seconds, or `late` seconds after the encoding. False if all was over then."""
        shutil.rmtree(self._prefix.parent, ignore_errors=True)
        begun = time.perf_counter()
        process = start(self._command)
        if late is None:
            time.sleep(moment)
        else:
            _await_merge(process, self._work)
            time.sleep(late)
        if process.poll() is not None:
            process.communicate()
            return False
        stage, victims = _stage(self._work), _workers(process.pid) if worker else []
        seconds = time.perf_counter() - begun
        if victims:
            self._process = process
            with suppress(ProcessLookupError):
                os.kill(victims[0], signal.SIGKILL)
        else:
            kill_all(process)
        self._what = f"{'one worker' if victims else 'everything'} | {stage} | {seconds:.2f}"
        return True

    def finish(self) -> bool:
        """The same command until it is done; whether the files are those of the calm build."""
        runs = 1
        code = None if self._process is None else _end(self._process)
        while code != 0:
            done = subprocess.run(self._command, capture_output=True, text=True, check=False)
            runs, code = runs + 1, done.returncode
            if code and runs > 3:
                raise SystemExit(f"the same command does not go on:\n{done.stderr}")
        self.said = f"{self._what} | {runs}"
        same = content(self._prefix) == content(self._calm)
        shutil.rmtree(self._prefix.parent)
        return same


def _end(process: subprocess.Popen[str]) -> int:
    """The exit code of a build that goes on without one of its workers."""
    try:
        process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        kill_all(process)
        raise SystemExit(f"a build was stuck for {_PATIENCE:.0f} s after one of its workers was killed") from None
    return process.returncode


def _calm_times(directory: Path, workers: int) -> tuple[float, float]:
    """Seconds of a build that nobody disturbs, and of what comes after its encoding."""
    prefix = directory / "timed" / "out"
    begun = time.perf_counter()
    process = start(words(directory, prefix, "--workers", str(workers)))
    _await_merge(process, prefix.with_name("out.work"))
    merging = time.perf_counter()
    process.communicate()
    over = time.perf_counter()
    shutil.rmtree(prefix.parent)
    return over - begun, over - merging


def _await_merge(process: subprocess.Popen[str], work: Path) -> None:
    while process.poll() is None and not (work / "training.bin").exists():
        time.sleep(_TICK)


def _stage(work: Path) -> str:
    """How far a build is, by what stands in its work directory."""
    if not (work / "job.json").exists():
        return "starting" if not work.parent.exists() or not any(work.parent.glob("out.*.json")) else "ending"
    if (work / "publish.all.json").exists():
        return "publishing"
    for role in ("validation", "training"):
        if (work / f"{role}.bin").exists():
            return f"merging, {role}"
    return f"encoding, {len(list(work.glob('encode.*.json')))} tasks done"


def _workers(pid: int) -> list[int]:
    with suppress(OSError):
        return children(pid)
    return []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--directory", type=Path, help="where everything is made; default: a temporary directory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
