"""A run under fire: faults of kinds and at times drawn from a seed, one after the other, until the run has come to its
end all the same. Its ledger, metrics and weights are then compared with those of a run that nothing disturbed.

    python benchmarks/chaos.py                      # 50 faults, some minutes
    python benchmarks/chaos.py --faults 6 --seed 3

Exit code 0 if all files agree. Needs root for the full disk (a small file system of its own); without it that kind is
left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from chaos_compare import differences
from chaos_faults import KINDS, OFF_STEP, Disk, Fault, Outcome, draw_faults, strike
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
        outcomes = [strike(run, fault, disk) for fault in faults]
        code = run.finish()
        seconds = time.monotonic() - began
        found = differences(calm.path, run.path, steps * BATCH) if code == 0 else [f"the run ended with code {code}"]
        tell(outcomes, faults, disk, run, calm, calm_seconds, seconds, found, options.json)
    return 1 if found else 0


def tell(
    outcomes: list[Outcome],
    faults: list[Fault],
    disk: Disk,
    run: ChaosRun,
    calm: ChaosRun,
    calm_seconds: float,
    seconds: float,
    found: list[str],
    json_path: Path | None,
) -> None:
    lost = run.seconds_lost(outcomes)
    print("\n| fault | times | exit codes | seconds lost, median (largest) |\n|---|---|---|---|")
    for kind in KINDS:
        mine = [index for index, fault in enumerate(faults) if fault.kind == kind]
        if mine:
            codes = Counter(outcomes[index].code for index in mine)
            told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
            times = [lost[index] for index in mine]
            print(f"| {kind} | {len(mine)} | {told} | {statistics.median(times):.1f} ({max(times):.1f}) |")
    off_step = sum(fault.moment in OFF_STEP for fault in faults)
    trained, needed = run.steps_made(), calm.steps_made()
    goodput = calm_seconds / seconds
    print(f"\nfaults during start, load, save or evaluation: {off_step} of {len(faults)}")
    print(f"steps made: {trained} for {needed}")
    print(f"goodput: {calm_seconds:.0f} s calm / {seconds:.0f} s = {goodput:.2f}")
    if not disk.mounted:
        print(f"no full disk among them: {disk.why_not}")
    print("\n".join(["DIFFERENCES:", *found]) if found else "ledger, metrics and weights: as those of the calm run")
    if json_path is not None:
        rows = [
            {"kind": fault.kind, "moment": fault.moment, "code": outcome.code, "seconds_lost": seconds_lost}
            for fault, outcome, seconds_lost in zip(faults, outcomes, lost, strict=True)
        ]
        json_path.write_text(json.dumps({"faults": rows, "goodput": goodput, "differences": found}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
