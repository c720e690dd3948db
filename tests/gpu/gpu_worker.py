"""One process of tests/gpu: the tiny model on a device, and what a test asks of it, printed as JSON.

CUDA cannot be forked, so each run is a process of its own; `running.py` starts it.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "distributed"))

from tiny import SEQUENCE, share, tiny_config, tiny_engine, global_batch  # noqa: I001
from test_parity import CHANGES, LEARNING_RATE, LONGER_BASE, STEPS, leak

import torch

from megakor.config.schema import ParallelConfig
from megakor.config.schema_resilience import AnomaliesConfig
from megakor.resilience.guard import Guard
from megakor.train.engine import Engine

Answer = dict[str, Any]
SAVED_AT = 4
"""Steps before the checkpoint."""


def train(engine: Engine, options: Answer) -> Answer:
    """Losses, then those with longer rows and another RoPE base; and what leaks between segments."""
    leaks = {mask: leak(engine, mask) for mask in CHANGES} if engine.topology.world_size == 1 else {}
    losses = _losses(engine, options, range(STEPS))
    engine.use_rope_base(LONGER_BASE)
    longer = [global_batch(0, 2 * SEQUENCE)] * 2
    longer_losses = [
        engine.train_step(share(engine, rows, options["precision"]), LEARNING_RATE).loss for rows in longer
    ]
    return {"losses": losses, "leaks": leaks, "longer_losses": longer_losses}


def save(engine: Engine, options: Answer) -> Answer:
    """A checkpoint on the way; the losses are those after it."""
    from megakor.train.state import sharded_state

    _losses(engine, options, range(SAVED_AT))
    tokens = SAVED_AT * SEQUENCE
    _checkpoints(options).save(SAVED_AT, tokens, sharded_state(engine, loading=False), {}, final=True)
    return {"losses": _losses(engine, options, range(SAVED_AT, STEPS))}


def resume(engine: Engine, options: Answer) -> Answer:
    """The losses after the checkpoint that another process has written."""
    from megakor.train.state import restore_state, sharded_state

    checkpoints = _checkpoints(options)
    choice = checkpoints.newest()
    assert choice is not None
    restore_state(engine, checkpoints.load(choice.checkpoint, sharded_state(engine, loading=True)), SAVED_AT)
    return {"losses": _losses(engine, options, range(SAVED_AT, STEPS))}


def waits(engine: Engine, options: Answer) -> Answer:
    """Where the host waits for the device in a step as the loop makes it, as file names, in their order.

    torch warns of operations that wait by themselves; it does not warn of waiting for an event.
    """
    guard = Guard(AnomaliesConfig())
    guard.begin("main")
    found = []
    for step in range(STEPS):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            batches = share(engine, global_batch(step), options["precision"])
            engine.train_step(batches, LEARNING_RATE, partial(guard.allows, step * SEQUENCE))
            torch.cuda.set_sync_debug_mode("default")
        found.append([_place(one) for one in caught if "synchronizing" in str(one.message)])
    return {"waits": found}


def _place(warning: warnings.WarningMessage) -> str:
    return f"{Path(warning.filename).name}:{warning.lineno}"


def _losses(engine: Engine, options: Answer, steps: range) -> list[float]:
    return [
        engine.train_step(share(engine, global_batch(step), options["precision"]), LEARNING_RATE).loss for step in steps
    ]


def _checkpoints(options: Answer) -> Any:
    from megakor.checkpoint.manager import CheckpointManager, Policy

    return CheckpointManager(Path(options["directory"]), Policy(), model={}, layout={})


ACTIONS: dict[str, Callable[[Engine, Answer], Answer]] = {
    action.__name__: action for action in (train, save, resume, waits)
}


def main() -> None:
    options = json.loads(sys.argv[1])
    # FP8 multiplies matrices whose sides are multiples of 16.
    config = tiny_config(ParallelConfig(**options["parallel"]), hidden_size=64, ffn_hidden_size=128)
    config.train.precision, config.train.recompute = options["precision"], options["recompute"]
    with tiny_engine(config, options["device"]) as engine:
        answer = ACTIONS[options["action"]](engine, options)
        if engine.topology.rank == 0:
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
