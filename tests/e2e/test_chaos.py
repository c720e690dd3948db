"""A short version of the chaos benchmark: faults of every kind, and files like those of a calm run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


def test_six_faults_leave_ledger_metrics_and_weights_as_they_would_have_been(tmp_path: Path) -> None:
    words = ["--faults", "6", "--seed", "4", "--json", str(tmp_path / "found.json"), "--directory", str(tmp_path)]
    ended = subprocess.run([sys.executable, str(CHAOS), *words], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["differences"] == []
    assert len({fault["kind"] for fault in found["faults"]}) >= 5
    codes = {fault["code"] for fault in found["faults"]}
    # Signals that come before the command listens end it as they end any program.
    assert codes <= {0, 70, 74, 75, -9, -10, -15}, codes
