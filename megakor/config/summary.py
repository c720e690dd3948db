"""The resolved run as text, for `--dry-run`: what will be trained, on what, for how long, and what was not checked."""

from __future__ import annotations

from megakor.config.check import world_size_of
from megakor.config.check_rates import decay_tokens
from megakor.config.data_paths import check_data_paths
from megakor.config.evaluation_grid import evaluated_at
from megakor.config.layout import data_parallel_size, micro_batches
from megakor.config.parameters import count_parameters, head_dimension, key_value_heads, padded_vocabulary
from megakor.config.phases import phases_of, steps_of
from megakor.config.problems import Problem, render_one
from megakor.config.quantities import format_tokens, rounded
from megakor.config.schema import Config
from megakor.config.schema_training import LrConfig
from megakor.config.summary_phases import mixture_lines, motion_lines, phase_lines, reading_lines
from megakor.config.vocabulary import vocabulary_size

LABEL_WIDTH = 15


def summary_text(config: Config, world_size: int | None = None, warnings: list[Problem] | None = None) -> str:
    """A page of plain text, at most 100 columns wide unless names or paths are longer.

    `config` must have passed `check`; `warnings` are what it found beside errors.
    """
    size = world_size_of(config) if world_size is None else world_size
    sections = [
        _section(
            "Run", [f"{config.run.dir}, seed {config.run.seed}, device {config.device}, {config.train.precision}"]
        ),
        _section("Model", _model(config)),
        _section("Layout", _layout(config, size)),
        _section("Batch", _batch(config, size)),
        _section("Budget", [_budget(config)]),
        _section("Learning rate", _learning(config)),
        _section("Evaluation", _evaluation(config)),
        _section("Checkpoints", [_checkpoints(config)]),
        ["", *phase_lines(config)],
        ["", *reading] if (reading := reading_lines(config)) else [],
        ["", *motion] if (motion := motion_lines(config)) else [],
        ["", *mixture_lines(config)],
        ["", *_data_lines(config)],
        *(["", *render_one(problem).splitlines()] for problem in warnings or ()),
    ]
    return "\n".join(line for section in sections for line in section)


def _section(label: str, lines: list[str]) -> list[str]:
    return [f"{label if index == 0 else '':<{LABEL_WIDTH}}{line}" for index, line in enumerate(lines)]


def _model(config: Config) -> list[str]:
    model, vocabulary = config.model, vocabulary_size(config)
    heads = f"{model.attention_heads} heads of {head_dimension(model)} ({key_value_heads(model)} of keys and values)"
    shape = f"{model.layers} layers, hidden {model.hidden_size}, FFN {model.ffn_hidden_size}, {heads}"
    if vocabulary is None:
        without = count_parameters(model, 0).non_embedding
        return [shape, f"{rounded(without)} parameters without embeddings; the vocabulary is the tokenizer's, not here"]
    count = count_parameters(model, vocabulary)
    output = "tied output" if model.tied_embeddings else f"output {rounded(count.output)}"
    return [
        f"{rounded(count.total)} parameters ({count.total:,})",
        f"embedding {rounded(count.embedding)}, {output}, {model.layers} layers of {rounded(count.per_layer)}; "
        f"non-embedding {rounded(count.non_embedding)}",
        shape,
        f"vocabulary {vocabulary:,}, in {padded_vocabulary(model, vocabulary):,} rows ({rounded(count.stored)} stored)",
    ]


def _layout(config: Config, world_size: int) -> list[str]:
    parallel = config.parallel
    extras = [
        *(["sequence parallel"] if parallel.sequence else []),
        *([f"{parallel.virtual_pipeline} chunks a stage"] if parallel.virtual_pipeline > 1 else []),
        *(["distributed optimizer"] if parallel.distributed_optimizer else []),
        *([f"{config.train.recompute} recomputation"] if config.train.recompute != "none" else []),
    ]
    sizes = f"tensor {parallel.tensor} x pipeline {parallel.pipeline} x context {parallel.context}"
    copies = data_parallel_size(config, world_size)
    return [f"{world_size} ranks = {sizes} x data {copies}", *([", ".join(extras)] if extras else [])]


def _batch(config: Config, world_size: int) -> list[str]:
    """One line for each size and sequence length: the batch in tokens, sequences and micro-batches."""
    copies = data_parallel_size(config, world_size)
    lines = []
    full = config.train.global_batch_size
    kinds = dict.fromkeys((phase.batch_tokens or full, phase.sequence_length) for phase in phases_of(config))
    for batch, length in kinds:
        count = micro_batches(config, length, batch, world_size)
        lines.append(
            f"{format_tokens(batch)} tokens = {batch // length:,} sequences of {length:,}: "
            f"{count:,} micro-batch{'es' if count > 1 else ''} of {config.train.micro_batch_size}"
            + (f" on each of {copies} copies" if copies > 1 else "")
        )
    ramp = config.train.batch_ramp
    if ramp is not None:
        lines.append(f"ramp from {format_tokens(ramp.start)} over the first {format_tokens(ramp.over)} tokens")
    return lines


def _budget(config: Config) -> str:
    steps = steps_of(config)
    read = sum(phase.tokens for phase in steps)
    over = f" (to the end of the last batch: {read:,})" if read != config.train.tokens else ""
    return f"{format_tokens(config.train.tokens)} tokens in {sum(phase.steps for phase in steps):,} steps{over}"


def _learning(config: Config) -> list[str]:
    lines = [_rates(config.lr, config.train.tokens)]
    for phase in phases_of(config):
        if phase.lr is not None:
            lines.append(f"in {phase.name}: {_rates(phase.lr, phase.tokens)}")
    return lines


def _rates(lr: LrConfig, tokens: int) -> str:
    warmup = f"{lr.start:g} to {lr.peak:g} over {format_tokens(lr.warmup)}" if lr.warmup else f"from {lr.peak:g}"
    if lr.schedule == "constant":
        return f"{warmup}, then constant"
    if lr.schedule == "wsd":
        decay = decay_tokens(lr, tokens)
        return f"{warmup}, constant, {lr.decay_shape} decay to {lr.minimum:g} over the last {format_tokens(decay)}"
    return f"{warmup}, {lr.schedule} decay to {lr.minimum:g}"


def _points(every: int | None, budget: int) -> int:
    """Multiples of `every` inside the budget, the end left out."""
    return (budget - 1) // every if every else 0


def _evaluation(config: Config) -> list[str]:
    every, budget = config.evaluation.every, config.train.tokens
    early = {point for point in config.evaluation.early if point < budget and not (every and point % every == 0)}
    rhythm = f", every {format_tokens(every)}" if every else ""
    extra = f", {len(early)} more early" if early else ""
    words = f"{len(evaluated_at(config))} times: at 0{rhythm}{extra} and at the end"
    own = sum(phase.evaluation is not None for phase in config.data.phases)
    steered = sum(phase.controllers is not None for phase in phases_of(config))
    phases = [
        *([f"{own} with a grid of {'its' if own == 1 else 'their'} own"] if own else []),
        *([f"{steered} also where controllers decide"] if steered else []),
    ]
    return [
        f"{words}; {format_tokens(config.evaluation.tokens)} tokens of each set",
        *([f"of the phases, {', '.join(phases)}"] if phases else []),
    ]


def _checkpoints(config: Config) -> str:
    checkpoint, vocabulary = config.checkpoint, vocabulary_size(config)
    count = _points(checkpoint.every, config.train.tokens) + 1
    rhythm = f"every {format_tokens(checkpoint.every)} and at the end" if checkpoint.every else "at the end"
    kept = f"the newest {checkpoint.keep}" if checkpoint.keep else "all"
    kept += f" and every {format_tokens(checkpoint.keep_every)}" if checkpoint.keep_every else ""
    size = f"; about {_bytes(checkpoint_bytes(config, vocabulary))} each" if vocabulary else ""
    return f"{count}: {rhythm}; keeps {kept}{size}"


def checkpoint_bytes(config: Config, vocabulary: int) -> int:
    """Estimated size: the trained weights, and in FP32 the two moments of Adam and the optimizer's own weights."""
    full = config.train.precision == "fp32"
    weights, own_weights = (4 if full else 2), (0 if full and not config.parallel.distributed_optimizer else 4)
    return count_parameters(config.model, vocabulary).stored * (weights + own_weights + 8)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _data_lines(config: Config) -> list[str]:
    paths = check_data_paths(config)
    missing = [path for path in paths if not path.found]
    if not missing:
        return [f"Data           all {len(paths)} paths are here"]
    width = max(len(path.key) for path in missing)
    head = f"Not checked    {len(missing)} of {len(paths)} data paths, not on this machine (--check-data: an error):"
    return [head, *(f"  {path.key:<{width}}  {path.path}" for path in missing)]
