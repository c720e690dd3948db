"""A run under fire: faults of kinds and at times drawn from a seed, one after the other, until the run has come to its
end all the same. Its ledger, metrics and weights are then compared with those of a run that nothing disturbed.

    python benchmarks/chaos.py                      # 50 faults; half an hour on two busy cores
    python benchmarks/chaos.py --faults 6 --seed 3

Exit code 0 if all files agree. Needs root for the full disk (a small file system of its own); without it that kind is
left out, and said so.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from chaos_compare import differences
from chaos_faults import Disk, Fault, Outcome, draw_faults, strike
from chaos_report import Found, seconds_lost
from chaos_run import BATCH, ChaosRun, make_world
from setting import print_header

STEPS_A_FAULT = 5
"""How far the run is to come between two faults, so that it does not end before the last one."""


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--directory", type=Path, help="where the runs are made and kept; default: a temporary one")
    parser.add_argument("--json", type=Path, help="also write what was found to this file")
    return parser.parse_args()


def main() -> int:
    options = options_of()
    with ExitStack() as exits:
        directory = options.directory or Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        directory.mkdir(parents=True, exist_ok=True)
        steps = 20 + STEPS_A_FAULT * options.faults
        make_world(directory, steps)
        calm, run = ChaosRun(directory, "calm"), ChaosRun(directory, "chaos")
        disk = exits.enter_context(Disk(run.path))
        faults = draw_faults(random.Random(options.seed), options.faults, disk.mounted)
        began = time.monotonic()
        assert calm.finish() == 0
        calm_seconds = time.monotonic() - began
        print_header("Chaos")
        print(f"seed {options.seed}, {options.faults} faults, {steps} steps of {BATCH:,} tokens on 2 ranks", flush=True)
        began = time.monotonic()
        outcomes = [_strike(run, fault, disk, number) for number, fault in enumerate(faults, 1)]
        code = run.finish()
        found = Found(
            faults,
            outcomes,
            seconds_lost(run, outcomes),
            run.steps_made(),
            calm.steps_made(),
            calm_seconds,
            time.monotonic() - began,
            differences(calm.path, run.path, steps * BATCH) if code == 0 else [f"the run ended with code {code}"],
        )
    found.tell()
    if not disk.mounted:
        print(f"no full disk among them: {disk.why_not}")
    if options.json is not None:
        found.write(options.json)
    return 1 if found.differences else 0


def _strike(run: ChaosRun, fault: Fault, disk: Disk, number: int) -> Outcome:
    outcome = strike(run, fault, disk)
    print(f"({number}: {fault.kind} in {fault.moment}, code {outcome.code})", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
