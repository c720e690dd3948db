"""What an evaluation means to the controllers of a phase: what they remember and decide (docs/controllers.md).

Pure functions: the same evaluations give the same decisions, whatever happened to the run between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from megakor.config.controllers import Controllers, ratio_of
from megakor.config.evaluation_grid import EvaluationGrid, crosses
from megakor.config.phases import PhaseSpan
from megakor.config.ramp import shares_of
from megakor.config.replay import with_replay
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig
from megakor.curriculum.decisions import Decision, Memory
from megakor.curriculum.replay_controller import Turn, next_ratio
from megakor.curriculum.reweighting import reweighted
from megakor.curriculum.schedule import Schedule


class Loss(NamedTuple):
    """The loss on one validation set."""

    nats: float
    """Per token."""
    tokens: int
    """That it is the mean of."""


def awaits_evaluation(memory: Memory, schedule: Schedule, tokens: int, grid: EvaluationGrid) -> bool:
    """Whether controllers have to see the losses here, at `tokens`, and have not seen them."""
    phase = schedule.phase_at(tokens)
    if phase.controllers is None:
        return False
    return memory.start != schedule.planned(phase).start or grid.is_due(memory.tokens, tokens)


def considered(
    memory: Memory, schedule: Schedule, tokens: int, losses: Mapping[str, Loss], grid: EvaluationGrid
) -> Memory:
    """The memory after an evaluation at `tokens`, with what the controllers of the phase there decide.

    They decide at points of their grid alone: at the end of a run, which may be extended later, they look on. Losses
    that are no numbers decide nothing.
    """
    known = {name: loss for name, loss in losses.items() if math.isfinite(loss.nats)}
    nats = {name: loss.nats for name, loss in known.items()}
    seen = replace(memory, tokens=tokens, run=nats if tokens == 0 else memory.run)
    phase = schedule.phase_at(tokens)
    if phase.controllers is None:
        return seen
    planned = schedule.planned(phase)
    if memory.start != planned.start:
        return replace(seen, start=planned.start, first=nats, latest=nats, calm=0)
    at = _Evaluation(planned, phase.controllers, known)
    shares = phase.weights
    replay, reweighting = phase.controllers.replay, phase.controllers.reweighting
    if replay is not None and _is_due(replay.every, planned, memory.tokens, tokens, grid):
        seen, shares = _steer_replay(seen, at, shares, replay)
    if reweighting is not None and _is_due(reweighting.every, planned, memory.tokens, tokens, grid):
        seen = _reweight(seen, at, shares, reweighting)
    return seen


def _is_due(every: int | None, phase: PhaseSpan, before: int, after: int, grid: EvaluationGrid) -> bool:
    """Whether one of a controller's points lies in (before, after]."""
    if every is None:
        return grid.is_due(before, after)
    return crosses(every, before - phase.start, after - phase.start)


@dataclass(frozen=True)
class _Evaluation:
    planned: PhaseSpan
    controllers: Controllers
    losses: Mapping[str, Loss]


def _steer_replay(
    memory: Memory, at: _Evaluation, shares: Mapping[str, float], settings: ReplayControllerConfig
) -> tuple[Memory, Mapping[str, float]]:
    """The memory after the decision, and the shares."""
    losses, reference = at.losses, (memory.first if settings.reference == "phase" else memory.run) or {}
    sets = [name for name in at.controllers.general if name in losses and name in reference]
    if not sets:
        return memory, shares
    tokens = sum(losses[name].tokens for name in sets)
    rise = math.fsum((losses[name].nats - reference[name]) * losses[name].tokens for name in sets) / tokens
    replayed = at.planned.replayed
    ratio = ratio_of(shares, replayed)
    turn = next_ratio(settings, ratio_of(at.planned.weights, replayed), Turn(ratio, memory.calm), rise)
    memory = replace(memory, calm=turn.calm)
    if turn.ratio == ratio:
        return memory, shares
    after = with_replay(shares, replayed, turn.ratio)
    why = f"general loss {rise:+.4f} from the start of the {settings.reference}: replay {ratio:g} -> {turn.ratio:g}"
    return _decided(memory, at, "replay", (sets, reference), (shares, after), why), after


def _reweight(memory: Memory, at: _Evaluation, shares: Mapping[str, float], settings: ReweightingConfig) -> Memory:
    topics, reference = at.controllers.topics, memory.latest or {}
    nats = {name: loss.nats for name, loss in at.losses.items()}
    if not all(name in nats and name in reference and name in shares for name in topics):
        return memory
    begins = shares_of({name: at.planned.weights[name] for name in topics})
    now = shares_of({name: shares[name] for name in topics})
    part = math.fsum(shares[name] for name in topics)
    parts = reweighted(now, begins, reference, nats, settings)
    after = {**shares, **{name: part * share for name, share in parts.items()}}
    memory = replace(memory, latest=nats)
    if after == shares:
        return memory
    moved = ", ".join(f"{name} {shares[name]:.4g} -> {after[name]:.4g}" for name in topics)
    return _decided(memory, at, "reweighting", (topics, reference), (shares, after), f"shares {moved}")


def _decided(
    memory: Memory,
    at: _Evaluation,
    controller: str,
    compared: tuple[Iterable[str], Mapping[str, float]],
    shares: tuple[Mapping[str, float], Mapping[str, float]],
    why: str,
) -> Memory:
    """The memory with one more decision.

    Args:
        compared: validation sets, and the losses that those of now were compared with.
        shares: before and after.
    """
    sets, reference = compared
    nats = {name: at.losses[name].nats for name in sets}
    made = Decision(
        memory.tokens,
        at.planned.name,
        at.planned.start,
        controller,
        losses=nats,
        reference={name: reference[name] for name in nats},
        before=dict(shares[0]),
        after=dict(shares[1]),
        why=why,
    )
    return replace(memory, decisions=(*memory.decisions, made))
