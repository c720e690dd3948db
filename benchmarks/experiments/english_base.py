"""The English base model that continued training begins with: its pilot, and one of each seed."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from material import Material
from options import PILOT_SEED, Options
from record import Frozen, freeze, read_frozen
from running import Planned, carry_out, losses, side_by_side, speed
from scale import Batch, Shape

from megakor.config.parameters import count_parameters
from megakor.config.schema import CheckpointConfig, Config, EvaluationConfig, EvaluationSourceConfig, ReportConfig
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.config.schema_training import LrConfig, TrainConfig
from megakor.report.flops import model_flops_per_token

FILE = "base.json"
SAVES = 6
"""Checkpoints on the way of a run, each in the place of the one before."""
RULES = (
    "every shape gets the same compute (FLOPs of training) with every peak learning rate and batch; warm-up over a "
    "twentieth, decay over the last fifth",
    "chosen: the lowest validation loss in English at the end",
)


def run_config(
    options: Options, material: Material, shape: Shape, batch: Batch, directory: Path, seed: int, tokens: int
) -> Config:
    """What all runs of the experiments have in common. Sources, phases and the schedule are to be added."""
    config = Config(device="cpu")
    config.run.dir, config.run.seed = str(directory), seed
    config.model = shape.model()
    config.train = TrainConfig(
        tokens=tokens, global_batch_size=batch.tokens, micro_batch_size=batch.micro, sequence_length=batch.row
    )
    config.data.tokenizer = str(material.tokenizer)
    config.evaluation = EvaluationConfig(tokens=options.scale.evaluation)
    config.checkpoint = CheckpointConfig(every=batch.whole(tokens / SAVES), keep=1, async_=False)
    config.report = ReportConfig(every=100, tensorboard=False)
    return config


def frozen_base(options: Options) -> Frozen:
    """What the pilot of the base chose. Raises ConfigError where it has not been run."""
    return read_frozen(options.prepared / FILE)


def frozen_shape(options: Options) -> Shape:
    """The shape of all models."""
    return Shape(**frozen_base(options).chosen["shape"])


def frozen_batch(options: Options) -> Batch:
    """The batch of the base, and of what goes on with it."""
    return options.scale.batch(frozen_base(options).chosen["batch"])


def pilot_base(options: Options, material: Material) -> Frozen:
    """Try shapes and rates; what is frozen already is not tried again."""
    path = options.prepared / FILE
    if path.exists():
        return read_frozen(path)
    trials = list(product(options.scale.shapes, options.scale.trials))
    rows = side_by_side(partial(_try, options, material), trials, options.jobs)
    best = min(range(len(rows)), key=lambda index: rows[index]["loss"])
    shape, (rate, batch) = trials[best]
    return freeze(path, {"shape": asdict(shape), "peak": rate, "batch": batch}, RULES, rows)


def _try(options: Options, material: Material, trial: tuple[Shape, tuple[float, int]]) -> dict[str, Any]:
    """One row of the pilot's table."""
    (shape, (rate, size)), scale = trial, options.scale
    batch = scale.batch(size)
    costs = [model_flops_per_token(one.model(), scale.vocabulary, scale.row) for one in (scale.shapes[0], shape)]
    tokens = batch.whole(scale.pilot * costs[0] / costs[1])
    name = f"pilot-base-{shape.layers}x{shape.hidden}-{rate:g}"
    run = Planned(name, _english(options, material, shape, batch, rate, PILOT_SEED, tokens, name))
    carry_out([run], options.prepared)
    found = losses(run.directory)
    return {
        "shape": shape.words,
        "parameters": count_parameters(shape.model(), scale.vocabulary).total,
        "peak": rate,
        "batch": size,
        "tokens": tokens,
        "tokens/s": round(speed(run.directory)),
        "loss": found[max(found)]["english"],
    }


def english_base(options: Options, material: Material, seed: int) -> Path:
    """The directory of the base of a seed, trained if it is not there. Raises ConfigError, MegakorError."""
    chosen, name = frozen_base(options).chosen, f"base-seed-{seed}"
    shape, batch = frozen_shape(options), frozen_batch(options)
    config = _english(options, material, shape, batch, chosen["peak"], seed, options.scale.base, name)
    run = Planned(name, config)
    carry_out([run], options.prepared, keep=True)
    return run.directory


def _english(
    options: Options, material: Material, shape: Shape, batch: Batch, rate: float, seed: int, tokens: int, name: str
) -> Config:
    config = run_config(options, material, shape, batch, options.prepared / name, seed, tokens)
    config.lr = falling(rate, tokens, batch)
    config.data.sources = {"english": SourceConfig(str(material.shard("en")), "en")}
    config.data.phases = [PhaseConfig(weights={"english": 1.0})]
    korean = EvaluationSourceConfig(str(material.held_out("ko")), "ko")
    config.evaluation = replace(config.evaluation, every=batch.whole(tokens / 4), sources={"korean": korean})
    return config


def falling(peak: float, tokens: int, batch: Batch) -> LrConfig:
    """Warm-up over a twentieth, then constant, then down to a tenth of the peak over the last fifth."""
    return LrConfig(
        schedule="wsd",
        peak=peak,
        minimum=peak / 10,
        warmup=batch.whole(tokens / 20),
        decay=batch.whole(tokens / 5),
    )
