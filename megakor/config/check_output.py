"""Evaluation, checkpoints and the run directory: what comes out of a run."""

from __future__ import annotations

import os
from pathlib import Path

from megakor.config.phases import sequence_lengths
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config
from megakor.config.words import multiples_near, one_of


def check_output(config: Config) -> list[Problem]:
    """Evaluation points, retention and a run directory that cannot work."""
    return [
        *_evaluation_budget(config),
        *_evaluation_sources(config),
        *_unreached(config),
        *_retention(config),
        *_run_directory(config.run.dir),
    ]


def _evaluation_budget(config: Config) -> list[Problem]:
    budget, row = config.evaluation.tokens, max(sequence_lengths(config))
    if budget >= row:
        return []
    what = f"An evaluation reads {budget} tokens, less than one sequence of {row}."
    return [Problem(("evaluation.tokens",), what, "", f"set evaluation.tokens to {format_tokens(row)} or more.")]


def _evaluation_sources(config: Config) -> list[Problem]:
    problems = []
    for name, source in config.evaluation.sources.items():
        key = f"evaluation.sources.{name}"
        if name in config.data.sources:
            what = f"'{name}' is a source of training, too."
            why = "Validation losses are told apart by the names of their sources."
            problems.append(Problem((key,), what, why, f"rename it, or set data.sources.{name}.validation instead."))
        for part in ("path", "language"):
            if not getattr(source, part):
                problems.append(
                    Problem((f"{key}.{part}",), f"The validation set has no {part}.", "", f"give its {part}.")
                )
    return problems


def _unreached(config: Config) -> list[Problem]:
    """Points that lie behind the end of the run."""
    points = {"evaluation.every": config.evaluation.every, "checkpoint.every": config.checkpoint.every}
    points |= {f"evaluation.early.{index}": point for index, point in enumerate(config.evaluation.early)}
    budget = config.train.tokens
    return [
        Problem(
            (key, "train.tokens"),
            f"It is {format_tokens(point)}, and the run ends at {format_tokens(budget)} tokens.",
            "This point is never reached; the end of the run counts anyway.",
            f"lower {key}, or leave it out.",
            "warning",
        )
        for key, point in points.items()
        if point is not None and point > budget
    ]


def _retention(config: Config) -> list[Problem]:
    every, keep_every = config.checkpoint.every, config.checkpoint.keep_every
    if keep_every is None:
        return []
    keys = ("checkpoint.keep_every", "checkpoint.every")
    if every is None:
        what = f"Checkpoints every {format_tokens(keep_every)} tokens are to be kept, and none are written on the way."
        return [Problem(keys, what, "", f"set checkpoint.every={format_tokens(keep_every)} or a part of it.")]
    if keep_every % every:
        what = f"{format_tokens(keep_every)} is not a multiple of checkpoint.every, {format_tokens(every)}."
        why = "There is no checkpoint at the points that are to be kept."
        near = one_of([format_tokens(value) for value in multiples_near(keep_every, every)])
        return [Problem(keys, what, why, f"set checkpoint.keep_every to {near}.")]
    return []


def _run_directory(text: str) -> list[Problem]:
    if not text.strip():
        return [Problem(("run.dir",), "The run has no directory.", "", "give it one, such as run.dir=runs/first.")]
    directory = Path(text)
    existing = next((place for place in (directory, *directory.parents) if place.exists()), Path())
    if not existing.is_dir():
        what = f"{existing} is a file, so there can be no directory {directory}."
        return [Problem(("run.dir",), what, "", "choose another run.dir, or move the file away.")]
    if not os.access(existing, os.W_OK | os.X_OK):
        read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
        what = f"{existing} cannot be written to{': its file system is read-only' if read_only else ''}."
        return [
            Problem(
                ("run.dir",),
                what,
                "The run keeps its metrics and checkpoints there.",
                "choose another run.dir, or ask for the right to write.",
            )
        ]
    return []
