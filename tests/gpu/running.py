"""Starts a worker and reads what it prints: CUDA cannot be forked, and other tests of this process may have hidden
Transformer Engine from megatron-core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

EVERY_TIME_THE_SAME = {"NVTE_ALLOW_NONDETERMINISTIC_ALGO": "0"}
"""Transformer Engine then adds up the gradients of attention in the same order every time."""
SMALL = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "1"}
"""Many short processes: none of them starts a pool of compilers."""


def answer_of(worker: str, *words: str, ranks: int = 1) -> dict[str, Any]:
    """The JSON object that a script of this directory prints, started on `ranks` processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    environment = {**os.environ, **EVERY_TIME_THE_SAME, **SMALL}
    command = [sys.executable, *launcher, str(Path(__file__).with_name(worker)), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{"))))


def run(
    device: str,
    precision: str,
    action: str = "train",
    *,
    ranks: int = 1,
    recompute: str = "none",
    directory: Path | None = None,
    **parallel: int,
) -> dict[str, Any]:
    """What `gpu_worker.py` says to an action."""
    options = {
        "device": device,
        "precision": precision,
        "action": action,
        "recompute": recompute,
        "directory": str(directory),
        "parallel": parallel,
    }
    return answer_of("gpu_worker.py", json.dumps(options), ranks=ranks)
