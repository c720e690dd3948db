"""What happens when a source has been read as often as it may: the sources that end a run there.

A source with `exhausted: redistribute` is no matter of this module: its share goes to the others (`mixture`). With stop
and fail the mixture is never distorted: the run ends before the first batch that would need rows past the cap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from megakor.config.phases import PhaseSteps
from megakor.curriculum.plan import Supply, plan_of
from megakor.curriculum.schedule import Schedule
from megakor.data.mixture import CapPassedError, DataExhaustedError, Mixture
from megakor.data.order import Cursor, tokens_left
from megakor.data.source import Source
from megakor.data.sources import Sources
from megakor.errors import DataError


def check_caps(
    ending: Mapping[str, Source],
    mixture: Mixture,
    weights: Mapping[str, float],
    rows: int,
    length: int,
    left: Mapping[str, int | None],
    means: Mapping[str, int],
) -> None:
    """Refuse a batch of `rows` rows for which a source that stops the run owes more rows than it has left.

    Args:
        ending: the sources that end a run at their caps, by id; the others are as in `Mixture.plan`.

    Raises:
        CapPassedError: the source is to fail.
        DataExhaustedError: it is to stop the run.
    """
    if all(left[key] is None for key in ending):
        return
    open_now = {key: weight for key, weight in weights.items() if left[key] != 0 or key in ending}
    owed = mixture.owed(open_now, rows, length, means)
    for key, source in ending.items():
        there = left[key]
        if there is not None and owed.get(key, 0) > there:
            kind = CapPassedError if source.exhausted == "fail" else DataExhaustedError
            raise kind(
                f"the source '{source.name}' has been read for its {source.epochs:g} epochs, up to {there:,} rows, and "
                f"the next batch needs {owed[key]:,} of it (exhausted: {source.exhausted}). {_way_out(source)}"
            )


def _way_out(source: Source) -> str:
    key = f"data.sources.{source.name}"
    return f"To go on, raise {key}.epochs, set {key}.exhausted to redistribute, or put a phase without it there."


def check_plan(schedule: Schedule, sources: Sources, cursors: Mapping[str, Cursor], start: int) -> None:
    """Refuse a run whose plan goes past a cap at which it has to fail, by more than the mixture may be early.

    Args:
        cursors: place of each source, by its id.
        start: tokens consumed so far.

    Raises:
        DataError: it does. What is closer than two batches shows when the run gets there.
    """
    if all(source.exhausted != "fail" for source in sources):
        return
    rest = [
        PhaseSteps(span, 0, min(span.stop, schedule.total_tokens) - first, first)
        for span in schedule.phases
        if (first := max(span.start, start)) < min(span.stop, schedule.total_tokens)
    ]
    plan = plan_of(rest, {source.name: _supply(source, cursors[source.id]) for source in sources})
    closing = next((closing for closing in plan.closings if closing.exhausted != "redistribute"), None)
    if closing is None or closing.exhausted != "fail":
        return
    stretches = [(steps.phase, max(closing.at, steps.start), steps.start + steps.tokens) for steps in rest]
    asked = [phase.shares(at, stop).get(closing.source, 0) * (stop - at) for phase, at, stop in stretches if at < stop]
    if sum(asked) > 2 * schedule.full_batch_at(closing.at):
        source = sources.named(closing.source)
        error = DataError(
            f"data.sources.{source.name}: the schedule reads it past its {source.epochs:g} epochs: the cap is reached "
            f"at about {closing.at:,} tokens of the run (exhausted: fail). Lower its weight, shorten its phases, raise "
            "its epochs, or set exhausted to stop or redistribute."
        )
        error.on_every_rank = True
        raise error


def _supply(source: Source, at: Cursor) -> Supply:
    positions = tokens_left(source, at)
    cap = math.inf if positions is None else positions * source.mean_row / source.block_length
    return Supply(source.epoch_tokens(len(source.generations)), 0, cap, source.exhausted)
