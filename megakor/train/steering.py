"""Between evaluations and the mixture: what the losses of the validation text change in what is read next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict

from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.phases import PhaseSpan
from megakor.curriculum.schedule import Schedule
from megakor.curriculum.steering import Loss
from megakor.data.stream import TokenStream
from megakor.errors import DataError
from megakor.parallel.first_rank import shared_from_first_rank
from megakor.report.records import ValidationRecord
from megakor.report.reporter import Reporter


def steer(stream: TokenStream, grid: EvaluationGrid, reporter: Reporter, records: Sequence[ValidationRecord]) -> None:
    """Show an evaluation to the controllers, and tell what they decide. Collective: all follow the first rank."""
    losses = {record.source: Loss(record.loss, record.evaluated_tokens) for record in records}
    memory = shared_from_first_rank(lambda: stream.steering.consider(stream.tokens_consumed, losses, grid))
    for decision in stream.steering.follow(memory):
        fields = asdict(decision)
        del fields["start"]
        reporter.event("decision", **fields)


def check_validation_text(schedule: Schedule, sets: Collection[str]) -> None:
    """Raises DataError for a controller that none of the validation `sets` would tell anything."""
    for phase in schedule.phases:
        missing = _missing(phase, sets)
        if missing:
            error = DataError(
                f"data.phases.{phase.index}: what steers '{phase.name}' looks at the validation loss of "
                f"{', '.join(missing)}, and there is no such text. Hold some out when the shards are built, or name a "
                "shard with data.sources.NAME.validation."
            )
            error.on_every_rank = True
            raise error


def _missing(phase: PhaseSpan, sets: Collection[str]) -> list[str]:
    if phase.controllers is None:
        return []
    general = [name for name in phase.controllers.general if name not in sets]
    missing = [name for name in phase.controllers.topics if name not in sets]
    return missing + (general if len(general) == len(phase.controllers.general) else [])
