"""The phases of a run and what they read, as aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import fsum

from megakor.config.phases import PhaseSpan, PhaseSteps, phases_of, steps_of
from megakor.config.problems import WIDTH
from megakor.config.quantities import format_tokens, rounded
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig
from megakor.text_table import aligned

COLUMNS = 6
"""Phases side by side in one table."""
BY_SIZE = "by rule"
"""In the place of tokens that rest on the sizes of sources, or on a fitted file."""


def phase_lines(config: Config) -> list[str]:
    """One line a phase: where it begins and ends, its sequence length, its own batch and its steps."""
    steps = steps_of(config)
    own = any(counted.phase.batch_tokens for counted in steps)
    rows = [("Phase", "from", "to", "sequence", *(["batch"] if own else []), "steps")]
    for counted in steps:
        phase = counted.phase
        stop = format_tokens(min(phase.stop, config.train.tokens))
        batch = [format_tokens(phase.batch_tokens or config.train.global_batch_size)] if own else []
        cells = (phase.name, format_tokens(phase.start), stop, f"{phase.sequence_length:,}", *batch)
        rows.append((*cells, f"{counted.steps:,}"))
    return aligned(rows, left=1)


def motion_lines(config: Config) -> list[str]:
    """What moves, is computed or steered in the mixtures of phases: ramps, rules, replay, controllers."""
    lines = []
    for phase, given in zip(phases_of(config), config.data.phases, strict=False):
        words = [*_rule_words(given), *_replay_words(given, phase), *_ramp_words(phase), *_controller_words(phase)]
        if phase.unknown:
            words.append(f"its weights rest on {phase.unknown}")
        for word in words:
            lines += textwrap.wrap(f"  {phase.name}: {word}", WIDTH, subsequent_indent="    ")
    return ["Mixtures", *lines] if lines else []


def reading_lines(config: Config) -> list[str]:
    """What of the reading of rows and of the model is a phase's own; a line for each such phase."""
    lines = []
    for phase in phases_of(config):
        words = [
            *([f"mask {phase.mask}"] if phase.mask != config.data.mask else []),
            *([f"no loss for {', '.join(phase.loss_mask_tokens)}"] if phase.loss_mask_tokens else []),
            *([f"RoPE base {phase.rope_base:,.12g}"] if phase.rope_base != config.model.rope_base else []),
        ]
        lines += [f"  {phase.name}: {', '.join(words)}"] if words else []
    return ["Rows", *lines] if lines else []


def _rule_words(given: PhaseConfig) -> list[str]:
    if given.rule == "temperature":
        return [f"weights as size ^ (1 / {given.temperature:g})"]
    if given.rule == "unimax":
        return [f"UniMax: as equal as possible, at most {given.max_epochs:g} epochs of each source in this phase"]
    return []


def _replay_words(given: PhaseConfig, phase: PhaseSpan) -> list[str]:
    replay = given.replay
    if replay is None:
        return []
    ratio = f"1 - R* of {replay.cmr}" if replay.cmr is not None else f"{replay.ratio:g}"
    then = f", at the end of the ramp {replay.ratio_end:g}" if replay.ratio_end is not None else ""
    return [f"replay of {', '.join(phase.replayed)} at {ratio}{then}"]


def _controller_words(phase: PhaseSpan) -> list[str]:
    """What shares are steered and between which bounds; all tables are of those that the phase begins with."""
    if phase.controllers is None:
        return []
    words = [f"{kind}: {settings}" for kind, settings in phase.controllers.words().items()]
    return [*words, "steered on the way, planned here with the shares that it begins with"]


def _ramp_words(phase: PhaseSpan) -> list[str]:
    if phase.ramp is None:
        return []
    names = [*phase.weights, *(name for name in phase.ramp.end if name not in phase.weights)]
    moves = ", ".join(f"{name} {phase.weights.get(name, 0):.4g} to {phase.ramp.end.get(name, 0):.4g}" for name in names)
    shape = f"{phase.ramp.steps} steps" if phase.ramp.shape == "step" else phase.ramp.shape
    return [f"{shape} over {format_tokens(phase.ramp.stop - phase.ramp.start)}: {moves}"]


def mixture_lines(config: Config) -> list[str]:
    """Intended tokens of each source and language in each phase, with the share of the phase."""
    steps = steps_of(config)
    lines: list[str] = []
    for first in range(0, len(steps), COLUMNS):
        lines += [""] * bool(lines) + _mixture(config, steps[first : first + COLUMNS], steps)
    return lines


def _mixture(config: Config, shown: Sequence[PhaseSteps], every: Sequence[PhaseSteps]) -> list[str]:
    languages = {name: source.language for name, source in config.data.sources.items()}
    rows = [("Tokens of", "", *(counted.phase.name for counted in shown), "whole run")]
    for name in languages:
        rows.append((name, languages[name], *_cells([name], shown), _total([name], every)))
    for language in dict.fromkeys(languages.values()):
        names = [name for name in languages if languages[name] == language]
        rows.append((f"all {language}", "", *_cells(names, shown), _total(names, every)))
    return aligned(rows, left=2)


def _cells(names: Sequence[str], steps: Sequence[PhaseSteps]) -> list[str]:
    return [
        BY_SIZE
        if counted.phase.unknown
        else _cell(fsum(counted.shares().get(name, 0.0) for name in names), counted.tokens)
        for counted in steps
    ]


def _total(names: Sequence[str], steps: Sequence[PhaseSteps]) -> str:
    if any(counted.phase.unknown for counted in steps):
        return BY_SIZE
    read = fsum(counted.shares().get(name, 0.0) * counted.tokens for counted in steps for name in names)
    everything = sum(counted.tokens for counted in steps)
    return _cell(read / everything if everything else 0.0, everything)


def _cell(share: float, tokens: int) -> str:
    if not share:
        return "-"
    percent = f"{share:.0%}" if share >= 0.01 else "<1%"
    return f"{rounded(share * tokens)} {percent:>4}"
