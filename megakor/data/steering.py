"""The schedule that a stream follows: as it was planned, and as controllers have changed it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.phases import PhaseSpan
from megakor.curriculum.decisions import Decision, Memory, followed
from megakor.curriculum.schedule import Schedule
from megakor.curriculum.steering import Loss, awaits_evaluation, considered
from megakor.data.history import History
from megakor.data.sources import Sources
from megakor.errors import ConfigError


class Steering:
    """Holds `schedule`, the one in force. In its state sources are named by their ids, because names may change."""

    def __init__(self, planned: Schedule, sources: Sources) -> None:
        self._planned = planned
        self._ids = {source.name: source.id for source in sources}
        self.schedule = planned
        self.memory = Memory()

    def awaits(self, tokens: int, grid: EvaluationGrid) -> bool:
        """Whether controllers have to see the losses at this place, and have not."""
        return awaits_evaluation(self.memory, self.schedule, tokens, grid)

    def consider(self, tokens: int, losses: Mapping[str, Loss], grid: EvaluationGrid) -> Memory:
        """What is remembered after an evaluation at this place. Nothing changes before it is followed, on all ranks.

        Args:
            losses: by validation set.
        """
        return considered(self.memory, self.schedule, tokens, losses, grid)

    def follow(self, memory: Memory) -> tuple[Decision, ...]:
        """Take over a memory, and go by its decisions from the next batch on; returns those that are new."""
        new = memory.decisions[len(self.memory.decisions) :]
        self.memory = memory
        self.schedule = followed(self._planned, memory.decisions, self._ids.keys())
        return new

    def state_dict(self) -> dict[str, Any]:
        """As JSON."""
        return self.memory.renamed(self._ids).to_json()

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Go to a saved state; None: that of a run whose losses were not kept."""
        names = {source_id: name for name, source_id in self._ids.items()}
        memory = Memory() if state is None else Memory.from_json(state).renamed(names)
        self.memory = Memory()
        self.follow(memory)


def check_remembered(steering: Steering, history: History, tokens: int) -> None:
    """Refuse controllers whose reference was not measured, on a resume at `tokens`.

    Raises:
        ConfigError: a controller was put into a phase that has begun, or looks at text that was not evaluated when its
            reference was taken.
    """
    memory, schedule = steering.memory, steering.schedule
    present = schedule.planned(schedule.phase_at(tokens))
    if present.controllers is not None and history.phases and history.phases[-1].first >= present.start:
        first = memory.first if memory.start == present.start else None
        _check_reference(present, "phase", first, f"a phase of its own that begins at token {tokens:,}")
    for phase in schedule.phases:
        if phase.stop > tokens and phase.controllers is not None and tokens > 0:
            _check_reference(phase, "run", memory.run, "a phase with reference: phase")


def _check_reference(phase: PhaseSpan, reference: str, losses: Collection[str] | None, way_out: str) -> None:
    assert phase.controllers is not None, "it is steered"
    replay, topics = phase.controllers.replay, phase.controllers.topics if reference == "phase" else ()
    general = phase.controllers.general if replay is not None and replay.reference == reference else ()
    known = losses or ()
    missing = [name for name in topics if name not in known]
    if general and not any(name in known for name in general):
        missing += general
    if missing:
        raise ConfigError(
            f"data.phases.{phase.index}: what steers '{phase.name}' compares losses with those at the start of the "
            f"{reference}, and that of {', '.join(missing)} was not measured there. Put it into {way_out}."
        )
