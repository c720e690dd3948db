"""One run of the tiny model, as tests/gpu asks for it: prints losses and the leaks between segments as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "distributed"))

from tiny import SEQUENCE, share, tiny_config, tiny_engine, global_batch  # noqa: I001
from test_parity import CHANGES, LEARNING_RATE, LONGER_BASE, STEPS, leak

from megakor.config.schema import ParallelConfig


def main() -> None:
    options = json.loads(sys.argv[1])
    # FP8 multiplies matrices whose sides are multiples of 16.
    config = tiny_config(ParallelConfig(**options["parallel"]), hidden_size=64, ffn_hidden_size=128)
    config.train.precision = options["precision"]
    with tiny_engine(config, options["device"]) as engine:
        leaks = {mask: leak(engine, mask) for mask in CHANGES} if engine.topology.world_size == 1 else {}
        losses = [
            engine.train_step(share(engine, global_batch(step), options["precision"]), LEARNING_RATE).loss
            for step in range(STEPS)
        ]
        engine.use_rope_base(LONGER_BASE)
        longer = [
            engine.train_step(share(engine, global_batch(0, 2 * SEQUENCE), options["precision"]), LEARNING_RATE).loss
            for _ in range(2)
        ]
        if engine.topology.rank == 0:
            print(json.dumps({"losses": losses, "leaks": leaks, "longer_losses": longer}), flush=True)


if __name__ == "__main__":
    main()
