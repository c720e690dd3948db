"""Single values: the choices of a name, the range of a number. What no other key can make right."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

from megakor.config.problems import Problem
from megakor.config.schema import Config
from megakor.config.tree import Leaf, leaves


@dataclass(frozen=True)
class Range:
    """Finite numbers between two limits."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether a finite value lies inside."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        if self.high == math.inf:
            return low
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:g}"


POSITIVE = Range(0, open_low=True)
ZERO_OR_MORE = Range(0)
ONE_OR_MORE = Range(1)
SHARE = Range(0, 1, open_high=True)
OPEN_SHARE = Range(0, 1, open_low=True, open_high=True)

LR_RANGES = {"peak": POSITIVE, "minimum": ZERO_OR_MORE, "start": ZERO_OR_MORE, "decay": ONE_OR_MORE}
LR_CHOICES = {
    "schedule": ("constant", "linear", "cosine", "wsd"),
    "decay_shape": ("linear", "cosine", "exponential", "1-sqrt"),
}

RANGES: dict[str, Range] = {
    "run.seed": Range(0, 2**63 - 1),
    "cluster.nodes": ONE_OR_MORE,
    "cluster.devices_per_node": ONE_OR_MORE,
    "model.layers": ONE_OR_MORE,
    "model.hidden_size": ONE_OR_MORE,
    "model.ffn_hidden_size": ONE_OR_MORE,
    "model.attention_heads": ONE_OR_MORE,
    "model.key_value_heads": ONE_OR_MORE,
    "model.head_dimension": ONE_OR_MORE,
    "model.vocabulary_size": Range(2),
    "model.vocabulary_multiple": ONE_OR_MORE,
    "model.norm_epsilon": POSITIVE,
    "model.rope_base": Range(1, open_low=True),
    "model.rope_scaling.factor": ONE_OR_MORE,
    "model.rope_scaling.low_frequency_factor": POSITIVE,
    "model.rope_scaling.high_frequency_factor": POSITIVE,
    "model.rope_scaling.original_length": ONE_OR_MORE,
    "model.init_std": POSITIVE,
    "parallel.tensor": ONE_OR_MORE,
    "parallel.pipeline": ONE_OR_MORE,
    "parallel.virtual_pipeline": ONE_OR_MORE,
    "parallel.context": ONE_OR_MORE,
    "train.tokens": ONE_OR_MORE,
    "train.global_batch_size": ONE_OR_MORE,
    "train.micro_batch_size": ONE_OR_MORE,
    "train.sequence_length": Range(2),
    "train.batch_ramp.start": ONE_OR_MORE,
    "train.batch_ramp.over": ONE_OR_MORE,
    "optimizer.beta1": SHARE,
    "optimizer.beta2": SHARE,
    "optimizer.epsilon": POSITIVE,
    "optimizer.weight_decay": ZERO_OR_MORE,
    "optimizer.clip_grad": ZERO_OR_MORE,
    "data.sources.NAME.epochs": POSITIVE,
    "data.sources.NAME.subset.tokens": ONE_OR_MORE,
    "data.phases.N.tokens": ONE_OR_MORE,
    "data.phases.N.weights.NAME": ZERO_OR_MORE,
    "data.phases.N.weights_end.NAME": ZERO_OR_MORE,
    "data.phases.N.ramp_steps": Range(2),
    "data.phases.N.ramp_tokens": ONE_OR_MORE,
    "data.phases.N.temperature": POSITIVE,
    "data.phases.N.max_epochs": POSITIVE,
    "data.phases.N.replay.ratio": Range(0, 1),
    "data.phases.N.replay.ratio_end": Range(0, 1),
    "data.phases.N.replay.controller.tolerance": POSITIVE,
    "data.phases.N.replay.controller.release": ZERO_OR_MORE,
    "data.phases.N.replay.controller.minimum": OPEN_SHARE,
    "data.phases.N.replay.controller.maximum": OPEN_SHARE,
    "data.phases.N.replay.controller.step": OPEN_SHARE,
    "data.phases.N.replay.controller.patience": ONE_OR_MORE,
    "data.phases.N.replay.controller.every": ONE_OR_MORE,
    "data.phases.N.reweighting.every": ONE_OR_MORE,
    "data.phases.N.reweighting.strength": OPEN_SHARE,
    "data.phases.N.reweighting.importance.NAME": ZERO_OR_MORE,
    "data.phases.N.reweighting.minimum": Range(0, 1, open_low=True),
    "data.phases.N.reweighting.maximum": ONE_OR_MORE,
    "data.phases.N.global_batch_size": ONE_OR_MORE,
    "data.phases.N.sequence_length": Range(2),
    "data.phases.N.rope_base": Range(1, open_low=True),
    "data.phases.N.evaluation.every": ONE_OR_MORE,
    "data.phases.N.evaluation.early.N": ONE_OR_MORE,
    "data.block_length": Range(2),
    "data.window_blocks": ONE_OR_MORE,
    "evaluation.every": ONE_OR_MORE,
    "evaluation.early.N": ONE_OR_MORE,
    "evaluation.tokens": ONE_OR_MORE,
    "evaluation.probes.NAME.items": ONE_OR_MORE,
    "evaluation.probes.NAME.length": Range(2),
    "checkpoint.every": ONE_OR_MORE,
    "checkpoint.keep": ZERO_OR_MORE,
    "checkpoint.keep_every": ONE_OR_MORE,
    "report.every": ONE_OR_MORE,
    "resilience.grace_seconds": POSITIVE,
    "resilience.time_limit_minutes": POSITIVE,
    "resilience.stop_before_seconds": ZERO_OR_MORE,
    **{f"resilience.hang.{phase}_seconds": POSITIVE for phase in ("step", "evaluation", "checkpoint", "start")},
    "resilience.hang.factor": ONE_OR_MORE,
    "resilience.stragglers.every": ONE_OR_MORE,
    "resilience.stragglers.factor": Range(1, open_low=True),
    "resilience.anomalies.loss_score": POSITIVE,
    "resilience.anomalies.gradient_score": POSITIVE,
    "resilience.anomalies.window": Range(2),
    "resilience.anomalies.least": Range(2),
    "resilience.anomalies.skip_tokens": ONE_OR_MORE,
    "resilience.anomalies.back": ONE_OR_MORE,
    "resilience.anomalies.most_rollbacks": ONE_OR_MORE,
    "resilience.anomalies.rollback_tokens": ONE_OR_MORE,
    "resilience.anomalies.most_in_a_row": ONE_OR_MORE,
    **{f"{place}.{name}": limits for place in ("lr", "data.phases.N.lr") for name, limits in LR_RANGES.items()},
}

MASKS = ("document", "isolated", "none")
ANOMALY_ACTIONS = ("skip_update", "skip_data", "rollback", "stop")
"""What may be done about a step without an update."""

CHOICES: dict[str, tuple[str, ...]] = {
    "device": ("auto", "cuda", "cpu"),
    "model.rope_scaling.type": ("linear", "llama3"),
    "train.precision": ("fp32", "bf16", "fp8_delayed", "fp8_tensorwise", "fp8_blockwise"),
    "train.recompute": ("none", "selective", "full"),
    "data.mask": MASKS,
    "data.sources.NAME.exhausted": ("redistribute", "stop", "fail"),
    "data.sources.NAME.order": ("shuffled", "file"),
    "data.phases.N.mask": MASKS,
    "data.phases.N.ramp": ("linear", "cosine", "step"),
    "data.phases.N.replay.controller.reference": ("phase", "run"),
    "data.phases.N.rule": ("weights", "temperature", "unimax"),
    "evaluation.probes.NAME.kind": ("choice", "copying"),
    "checkpoint.verify": ("hashes", "sizes"),
    "resilience.anomalies.not_finite": ANOMALY_ACTIONS,
    "resilience.anomalies.loss_spike": ("report", *ANOMALY_ACTIONS),
    "resilience.anomalies.gradient_spike": ("report", *ANOMALY_ACTIONS),
    **{f"{place}.{name}": choices for place in ("lr", "data.phases.N.lr") for name, choices in LR_CHOICES.items()},
}


def wrong_values(config: Config) -> list[tuple[Leaf, Problem]]:
    """Every value that is outside its range or is not one of its choices."""
    wrong = []
    for leaf in leaves(config):
        if leaf.value is None:
            continue
        if leaf.schema_key in RANGES and not RANGES[leaf.schema_key].holds(leaf.value):
            wrong.append((leaf, _outside(leaf, RANGES[leaf.schema_key])))
        if leaf.schema_key in CHOICES and leaf.value not in CHOICES[leaf.schema_key]:
            wrong.append((leaf, _unknown_choice(leaf, CHOICES[leaf.schema_key])))
    return wrong


def _outside(leaf: Leaf, limits: Range) -> Problem:
    what = f"It is {leaf.value}, but must be {limits}."
    return Problem((leaf.key,), what, "", f"set {leaf.key} to a value {limits}.")


def _unknown_choice(leaf: Leaf, choices: tuple[str, ...]) -> Problem:
    near = difflib.get_close_matches(str(leaf.value), choices, n=1)
    fix = f"did you mean {near[0]}?" if near else f"set it to one of them: {leaf.key}={choices[0]}."
    return Problem((leaf.key,), f"'{leaf.value}' is not known; the choices are {', '.join(choices)}.", "", fix)
