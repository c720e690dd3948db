"""Sources, phases and blocks, by the config alone. What is on the disk is looked at in data_paths.py."""

from __future__ import annotations

import math
import re

from megakor.config.phases import block_length, phases_of, sequence_lengths
from megakor.config.problems import Problem
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config

_NAME = re.compile(r"[^\W_][\w-]*")


def check_data(config: Config) -> list[Problem]:
    """Tokenizer, sources, phases and blocks that are missing or contradict each other."""
    return [
        *_tokenizer(config),
        *_sources(config),
        *_phase_names(config),
        *_phase_lengths(config),
        *_blocks(config),
    ]


def _tokenizer(config: Config) -> list[Problem]:
    if config.data.tokenizer:
        return []
    what = "No tokenizer is given."
    why = "Its vocabulary sizes the embedding, and bits per byte are counted with it."
    return [Problem(("data.tokenizer",), what, why, "set data.tokenizer to the directory that holds tokenizer.json.")]


def _sources(config: Config) -> list[Problem]:
    if not config.data.sources:
        fix = "add one, such as data.sources.korean: {path: data/ko, language: ko}."
        return [Problem(("data.sources",), "There is no source of text.", "", fix)]
    problems = []
    for name, source in config.data.sources.items():
        key = f"data.sources.{name}"
        if not _NAME.fullmatch(str(name)):
            what = f"'{name}' cannot be the name of a source."
            why = "Names are used in keys, file names and charts."
            problems.append(
                Problem((key,), what, why, "use letters, digits, _ and -, and begin with a letter or digit.")
            )
        if not source.path:
            problems.append(
                Problem((f"{key}.path",), "The source has no path.", "", "give the prefix of its shards, without .bin.")
            )
        if not source.language:
            why = "Losses and the ledger are summed per language."
            problems.append(
                Problem((f"{key}.language",), "The source has no language.", why, "write language: ko, or en, ...")
            )
    return problems + _same_path(config)


def _same_path(config: Config) -> list[Problem]:
    seen: dict[str, str] = {}
    problems = []
    for name, source in config.data.sources.items():
        if source.path and source.path in seen:
            what = f"The sources '{seen[source.path]}' and '{name}' have the same path {source.path}."
            why = "Sources are known by what they hold; the same text under two names would be read twice."
            fix = "keep one of them and give it the sum of the weights."
            problems.append(
                Problem((f"data.sources.{name}.path", f"data.sources.{seen[source.path]}.path"), what, why, fix)
            )
        seen[source.path] = name
    return problems


def _phase_names(config: Config) -> list[Problem]:
    problems, seen = [], set()
    for index, phase in enumerate(config.data.phases):
        if phase.name in seen:
            what = f"Two phases are named '{phase.name}'."
            why = "Reports and the ledger tell phases apart by their names."
            problems.append(
                Problem(
                    (f"data.phases.{index}.name",), what, why, f"rename it, for example '{phase.name}-{index + 1}'."
                )
            )
        seen.add(phase.name)
    return problems


def _phase_lengths(config: Config) -> list[Problem]:
    phases, budget = config.data.phases, config.train.tokens
    open_ones = [index for index, phase in enumerate(phases[:-1]) if phase.tokens is None]
    if open_ones:
        what = f"The phase '{phases[open_ones[0]].name}' has no length, and others follow it."
        key = f"data.phases.{open_ones[0]}.tokens"
        return [
            Problem(
                (key,), what, "Only the last phase may be open: it gets the rest of train.tokens.", "give it tokens."
            )
        ]
    if not phases:
        return []
    covered = sum(phase.tokens or 0 for phase in phases)
    if phases[-1].tokens is not None and covered < budget:
        what = f"The phases cover {format_tokens(covered)} tokens, and the run has {format_tokens(budget)}."
        fix = (
            f"set train.tokens={format_tokens(covered)}, or leave out the tokens of the last phase (it gets the rest)."
        )
        return [Problem(("train.tokens", f"data.phases.{len(phases) - 1}.tokens"), what, "The rest has no phase.", fix)]
    unreached = [phase for phase in phases_of(config) if phase.start >= budget]
    if unreached:
        start = format_tokens(unreached[0].start)
        what = f"The phase '{unreached[0].name}' begins at {start} tokens, and the run ends at {format_tokens(budget)}."
        fix = "raise train.tokens or shorten the phases before it."
        return [
            Problem((f"data.phases.{unreached[0].index}", "train.tokens"), what, "It is never reached.", fix, "warning")
        ]
    return []


def _blocks(config: Config) -> list[Problem]:
    """A block is a multiple of every sequence length, so that rows never cross blocks."""
    block = block_length(config)
    problems = []
    for length in sequence_lengths(config):
        if block % length:
            common = math.lcm(*sequence_lengths(config))
            what = f"A block of {block} tokens is not a multiple of the sequence length {length}."
            why = "Rows are cut from the unit of order (data.block_length, by default the longest sequence)."
            fix = f"use sequence lengths that divide the longest one, or data.block_length of {common}."
            keys = ("data.block_length",) if config.data.block_length else ("train.sequence_length",)
            phase_keys = tuple(
                f"data.phases.{i}.sequence_length"
                for i, p in enumerate(config.data.phases)
                if p.sequence_length == length
            )
            problems.append(Problem((*phase_keys, *keys), what, why, fix))
    return problems
