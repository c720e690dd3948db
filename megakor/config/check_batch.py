"""Sequence lengths, micro-batches and the global batch: what must divide what."""

from __future__ import annotations

import math

from megakor.config.layout import (
    batch_quantum,
    data_parallel_size,
    micro_batches,
    model_parallel_size,
    rows_quantum,
)
from megakor.config.phases import phases_of, sequence_lengths
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.words import multiples_near, one_of


def check_batch(config: Config, world_size: int) -> list[Problem]:
    """What cannot be cut into rows, micro-batches and stages; and a warning where stages would wait."""
    lengths = _lengths(config)
    if lengths or world_size % model_parallel_size(config):
        return lengths
    batch = [*_global_batch(config, world_size), *_phase_batches(config, world_size), *_ramp(config, world_size)]
    return batch or [*_interleaving(config, world_size), *_bubble(config, world_size), *_short_run(config)]


def _length_key(config: Config, length: int) -> str:
    for phase in phases_of(config):
        if phase.sequence_length == length and config.data.phases and config.data.phases[phase.index].sequence_length:
            return f"data.phases.{phase.index}.sequence_length"
    return "train.sequence_length"


def _lengths(config: Config) -> list[Problem]:
    """Context parallelism cuts a sequence into 2 x context pieces, sequence parallelism each share into `tensor`."""
    context, tensor = config.parallel.context, config.parallel.tensor
    pieces, keys, reason = 1, [], []
    if context > 1:
        pieces, keys = 2 * context, ["parallel.context"]
        reason = [f"context parallelism takes two pieces for each of {context} ranks"]
    if config.parallel.sequence and tensor > 1:
        pieces, keys = math.lcm(pieces, context * tensor), [*keys, "parallel.sequence", "parallel.tensor"]
        reason.append(f"sequence parallelism takes one for each of {tensor} ranks")
    problems = []
    for length in sequence_lengths(config):
        if length % pieces:
            key = _length_key(config, length)
            what = f"A sequence of {length} tokens cannot be cut into equal pieces: it must be a multiple of {pieces}."
            why = f"Because {' and '.join(reason)}."
            problems.append(Problem((key, *keys), what, why, f"set {key} to {one_of(multiples_near(length, pieces))}."))
    return problems


def _shape_words(config: Config, world_size: int) -> str:
    lengths = sequence_lengths(config)
    length = f"sequences of {lengths[0]}" if len(lengths) == 1 else f"every sequence length ({one_of(lengths)})"
    copies = data_parallel_size(config, world_size)
    copy = "copies" if copies > 1 else "copy"
    return f"{length} x micro-batch {config.train.micro_batch_size} x {copies} data-parallel {copy}"


def _global_batch(config: Config, world_size: int) -> list[Problem]:
    batch, quantum = config.train.global_batch_size, batch_quantum(config, world_size)
    if batch % quantum == 0:
        return []
    what = f"A global batch of {batch} tokens is not a multiple of {quantum}."
    why = f"It holds whole micro-batches on every copy of the model: {_shape_words(config, world_size)}."
    near = one_of([format_tokens(value) for value in multiples_near(batch, quantum)])
    keys = ("train.global_batch_size", "train.sequence_length", "train.micro_batch_size")
    return [Problem(keys, what, why, f"set train.global_batch_size to {near}.")]


def _phase_batches(config: Config, world_size: int) -> list[Problem]:
    """The batches of phases that have their own."""
    problems = []
    for phase in phases_of(config):
        quantum = phase.sequence_length * rows_quantum(config, world_size)
        if phase.batch_tokens is None or phase.batch_tokens % quantum == 0:
            continue
        key = f"data.phases.{phase.index}.global_batch_size"
        what = f"A global batch of {phase.batch_tokens} tokens in the phase '{phase.name}' is no multiple of {quantum}."
        copies = data_parallel_size(config, world_size)
        why = (
            f"It holds whole micro-batches on every copy of the model: a sequence of {phase.sequence_length} x "
            f"micro-batch {config.train.micro_batch_size} x {copies} data-parallel cop{'ies' if copies > 1 else 'y'}."
        )
        near = one_of([format_tokens(value) for value in multiples_near(phase.batch_tokens, quantum)])
        keys = (key, f"data.phases.{phase.index}.sequence_length", "train.micro_batch_size")
        problems.append(Problem(keys, what, why, f"set {key} to {near}."))
    return problems


def _ramp(config: Config, world_size: int) -> list[Problem]:
    """The ramp climbs in multiples of its start, so the start must fit and the full batch must be one of them."""
    ramp, full = config.train.batch_ramp, config.train.global_batch_size
    if ramp is None:
        return []
    for phase in phases_of(config):
        if phase.batch_tokens is not None and phase.start < ramp.over:
            own = f"data.phases.{phase.index}.global_batch_size"
            what = f"The phase '{phase.name}' has a global batch of its own inside the ramp of the batch."
            fix = f"leave out {own}, or end the ramp before it: train.batch_ramp.over of at most {phase.start}."
            fix = fix if phase.start else f"leave out {own} or train.batch_ramp."
            return [Problem((own, "train.batch_ramp.over"), what, "Only one of them can say how large it is.", fix)]
    key, quantum = "train.batch_ramp.start", batch_quantum(config, world_size)
    if ramp.start > full:
        what = f"The ramp starts at {ramp.start} tokens, above the full batch of {full}."
        return [Problem((key, "train.global_batch_size"), what, "", f"set {key} to at most {format_tokens(full)}.")]
    if ramp.start % quantum == 0 and full % ramp.start == 0:
        return []
    fitting = (
        [start for start in range(quantum, full + 1, quantum) if full % start == 0]
        if full // quantum < 10**6
        else [quantum]
    )
    nearest = sorted(sorted(fitting, key=lambda start: abs(start - ramp.start))[:2])
    what = f"A ramp cannot climb from {ramp.start} to {full} tokens in whole steps."
    shape = _shape_words(config, world_size)
    why = f"The batch grows in multiples of its start, and each must be a multiple of {quantum} ({shape})."
    return [
        Problem(
            (key, "train.global_batch_size"), what, why, f"set {key} to {one_of([format_tokens(n) for n in nearest])}."
        )
    ]


def _batches_of_lengths(config: Config) -> list[tuple[str, int, int]]:
    """(key, tokens, sequence length) of every kind of batch in the run."""
    ramp, found = config.train.batch_ramp, []
    for phase in phases_of(config):
        if phase.batch_tokens is not None:
            key = f"data.phases.{phase.index}.global_batch_size"
            found.append((key, phase.batch_tokens, phase.sequence_length))
            continue
        found.append(("train.global_batch_size", config.train.global_batch_size, phase.sequence_length))
        if ramp:
            found.append(("train.batch_ramp.start", ramp.start, phase.sequence_length))
    return list(dict.fromkeys(found))


def _smallest_micro_batches(config: Config, world_size: int) -> int:
    """The fewest micro-batches in a step of the run."""
    return min(micro_batches(config, length, batch, world_size) for _, batch, length in _batches_of_lengths(config))


def _interleaving(config: Config, world_size: int) -> list[Problem]:
    stages = config.parallel.pipeline
    if config.parallel.virtual_pipeline == 1 or stages == 1:
        return []
    for key, batch, length in _batches_of_lengths(config):
        count = micro_batches(config, length, batch, world_size)
        if count % stages:
            what = f"A step of {batch} tokens has {count} micro-batches of sequences of {length} for {stages} stages."
            why = "The interleaved schedule (parallel.virtual_pipeline) needs a multiple of the stages."
            quantum = length * rows_quantum(config, world_size)
            if key.startswith("train."):
                quantum = batch_quantum(config, world_size)
            near = multiples_near(batch, quantum * stages)
            fix = f"set {key} to {one_of([format_tokens(n) for n in near])}, or parallel.virtual_pipeline=1."
            return [Problem((key, "parallel.pipeline", "parallel.virtual_pipeline"), what, why, fix)]
    return []


def _bubble(config: Config, world_size: int) -> list[Problem]:
    stages, count = config.parallel.pipeline, _smallest_micro_batches(config, world_size)
    if stages == 1 or count >= stages:
        return []
    what = f"A step has {count} micro-batch{'es' if count > 1 else ''} for {stages} pipeline stages."
    waiting = 100 * (stages - 1) // (count + stages - 1)
    why = f"With fewer micro-batches than stages, the stages wait {waiting} % of the time."
    fix = "lower train.micro_batch_size, raise train.global_batch_size, or lower parallel.pipeline."
    return [Problem(("parallel.pipeline", "train.micro_batch_size"), what, why, fix, "warning")]


def _short_run(config: Config) -> list[Problem]:
    tokens, batch = config.train.tokens, config.train.global_batch_size
    if tokens >= batch:
        return []
    what = f"The budget of {format_tokens(tokens)} tokens is less than one global batch of {format_tokens(batch)}."
    fix = f"set train.tokens to {format_tokens(batch)} or more, or lower train.global_batch_size."
    return [Problem(("train.tokens", "train.global_batch_size"), what, "The run is a single step.", fix, "warning")]
