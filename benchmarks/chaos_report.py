"""What chaos.py found: a table of faults, the time each cost, and how much of the run's time was of use."""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos_faults import KINDS, OFF_STEP, Fault, Outcome
from chaos_run import ChaosRun


@dataclass(frozen=True)
class Found:
    """Of one run under fire."""

    faults: Sequence[Fault]
    outcomes: Sequence[Outcome]
    lost: Sequence[float]
    """Seconds, by fault."""
    steps_made: int
    steps_needed: int
    calm_seconds: float
    seconds: float
    differences: Sequence[str]

    @property
    def goodput(self) -> float:
        """The time of the calm run as a share of the time under fire."""
        return self.calm_seconds / self.seconds

    def tell(self) -> None:
        """Print all of it."""
        print("\n| fault | times | exit codes | seconds lost, median (largest) |\n|---|---|---|---|")
        for kind in KINDS:
            if mine := [index for index, fault in enumerate(self.faults) if fault.kind == kind]:
                self._tell_kind(kind, mine)
        moments = Counter(fault.moment for fault in self.faults)
        off_step = sum(moments[moment] for moment in OFF_STEP)
        earlier = [code for outcome in self.outcomes for code in outcome.earlier]
        told = ", ".join(f"{moment} {count}" for moment, count in sorted(moments.items()))
        print(f"\nmoments: {told}; {off_step} of {len(self.faults)} during start, load, save or evaluation")
        print(f"attempts that ended before their fault: {len(earlier)} {sorted(Counter(earlier).items())}")
        print(f"steps made: {self.steps_made} for {self.steps_needed}")
        print(f"goodput: {self.calm_seconds:.0f} s calm / {self.seconds:.0f} s = {self.goodput:.2f}")
        print(f"load at the end: {os.getloadavg()[0]:.1f}")
        alike = ["ledger, metrics and weights: as those of the calm run"]
        print("\n".join(["DIFFERENCES:", *self.differences] if self.differences else alike), flush=True)

    def _tell_kind(self, kind: str, mine: Sequence[int]) -> None:
        codes = Counter(self.outcomes[index].code for index in mine)
        told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        times = [self.lost[index] for index in mine]
        print(f"| {kind} | {len(mine)} | {told} | {statistics.median(times):.1f} ({max(times):.1f}) |")

    def write(self, path: Path) -> None:
        """For programs, as JSON."""
        rows = [
            {"kind": fault.kind, "moment": fault.moment, "code": outcome.code, "seconds_lost": lost}
            for fault, outcome, lost in zip(self.faults, self.outcomes, self.lost, strict=True)
        ]
        found = {"faults": rows, "goodput": self.goodput, "differences": list(self.differences)}
        path.write_text(json.dumps(found, indent=1))


def seconds_lost(run: ChaosRun, outcomes: Sequence[Outcome]) -> list[float]:
    """From each fault until the run is further than it was before, or the next fault."""
    trained = [(line["time"], line["tokens"]) for line in run.lines() if line["kind"] == "train"]
    lost = []
    for index, outcome in enumerate(outcomes):
        before = max((tokens for at, tokens in trained if at <= outcome.at), default=0)
        again = next((at for at, tokens in trained if at > outcome.at and tokens > before), outcome.at)
        following = outcomes[index + 1].at if index + 1 < len(outcomes) else again
        lost.append(min(again, following) - outcome.at)
    return lost
