"""The loop: read a batch, make a step, tell what happened; evaluate and save when the tokens say so."""

from __future__ import annotations

import time
from functools import partial

from megakor.config.evaluation_grid import crosses
from megakor.data.mixture import CapPassedError, DataExhaustedError
from megakor.data.order import epochs_read
from megakor.data.rows import read_rows, rows_of_rank
from megakor.data.stream import BatchPlan
from megakor.errors import DivergedError
from megakor.model.transformer_config import parameter_dtype
from megakor.report.records import ReplayProgress, SourceProgress, TrainRecord
from megakor.resilience.anomalies import ROLLBACK, STOP, AnomalyRecord
from megakor.resilience.guard import RollBack
from megakor.resilience.progress import EVALUATION, STEP
from megakor.train.engine import StepResult
from megakor.train.micro_batch import micro_batches
from megakor.train.run import Run
from megakor.train.steering import steer


def fit(run: Run) -> None:
    """Train until the budget is spent or the data is. Raises Stopped, where a step has ended."""
    run.progress.mark(run.stream.tokens_consumed)
    begun = run.measuring.period.start == run.grid.period_at(run.stream.tokens_consumed)
    awaited = run.stream.steering.awaits(run.stream.tokens_consumed, run.grid)
    if run.evaluation_due or awaited or not begun:
        evaluate(run)
    while run.stream.tokens_consumed < run.schedule.total_tokens:
        before = run.stream.tokens_consumed
        plan = next_batch(run)
        run.progress.mark(before)
        if plan is None:
            if run.evaluated < before:
                evaluate(run)
            break
        if not plan.skipped:
            train(run, plan)
        else:
            pass_over(run, plan)
        after, over = plan.stop, plan.stop >= run.schedule.total_tokens
        if over or run.grid.is_due(before, after):
            evaluate(run)
        if not over and crosses(run.config.checkpoint.every, before, after):
            run.save()
            run.stopping.check()
        run.checkpoints.poll()
        if not over:
            run.stopping.poll()
        run.progress.enter(STEP)  # the first one counted as a part of the start
    run.measuring.conclude(run.stream.tokens_consumed)
    run.save(final=True)


def next_batch(run: Run) -> BatchPlan | None:
    """The next global batch, or None where the sources cannot fill another one, or one of them stops the run.

    Raises:
        DataExhaustedError: they cannot fill even the first one.
        CapPassedError: a source has been read as often as it may, and the run has to fail there; it has been saved.
    """
    try:
        until = run.guard.passed_over_until(run.stream.tokens_consumed)
        return run.stream.next_batch(skip=until is not None)
    except DataExhaustedError as error:
        error.on_every_rank = True
        if run.step == 0:
            raise
        run.reporter.event("data_exhausted", tokens=run.stream.tokens_consumed, why=str(error))
        if isinstance(error, CapPassedError):
            run.save(final=True)
            raise
        return None


def train(run: Run, plan: BatchPlan) -> None:
    """One step on one global batch, with an update unless the guard refuses it.

    Raises:
        RollBack: the run is to go back to a checkpoint.
        DivergedError: it is to stop.
    """
    began = time.perf_counter()
    run.times.begin()
    config, engine = run.config, run.engine
    topology = engine.topology
    mine = rows_of_rank(plan.rows, topology.data_rank, topology.data_size, config.train.micro_batch_size)
    phase, vocabulary = plan.phase, config.model.vocabulary_size
    unlearnt = [run.unlearnt[token] for token in phase.loss_mask_tokens]
    rows = [
        read_rows(run.stream.sources, group, plan.sequence_length, phase.mask, vocabulary, unlearnt) for group in mine
    ]
    batches = micro_batches(rows, phase.mask, engine.device, topology, parameter_dtype(config.train.precision))
    engine.use_rope_base(phase.rope_base)
    rate = run.learning_rate.at(plan.start)
    run.progress.mark()
    run.guard.begin(phase.name)
    result = engine.train_step(batches, rate, partial(run.guard.allows, plan.stop))
    run.progress.mark(plan.stop)
    run.step += 1
    if not result.updated:
        plan = run.stream.leave_untrained(plan)
    if run.ledger is not None:
        run.ledger.add(plan)
    run.reporter.train(_record(run, plan, result, rate, time.perf_counter() - began))
    run.reporter.measures([found for found in [run.times.step_over(run.step, plan.stop)] if found is not None])
    answer(run, plan.stop)


def pass_over(run: Run, plan: BatchPlan) -> None:
    """A batch that is consumed without training."""
    until = run.guard.passed_over_until(plan.start)
    if until != run.passing_until:
        run.reporter.event("data_skipped", tokens=plan.stop, begins=plan.start, until=until)
        run.passing_until = until
    if run.ledger is not None:
        run.ledger.add(plan)


def answer(run: Run, tokens: int) -> None:
    """Report what the guard has found at the step that ended at `tokens`, and do what is to be done about it."""
    found = run.guard.verdict
    if found.anomaly is None:
        return
    run.reporter.measures([AnomalyRecord(run.step, tokens, found)])
    if found.action in (ROLLBACK, STOP):
        run.checkpoints.wait()  # one that is still being written is from before, and worth having
    if found.action == ROLLBACK:
        raise RollBack(found, run.step, tokens)
    if found.action == STOP:
        limit = f" This was the case for {found.why_stop}." if found.why_stop else ""
        raise DivergedError(
            f"step {run.step} at {tokens:,} tokens: {found.what}.{limit} The weights have not been changed by it, and "
            "the checkpoints before it are whole. Lower lr.peak, look at the data of this step in the ledger, or "
            "choose what is done about it (resilience.anomalies)."
        )


def evaluate(run: Run) -> None:
    """Losses, probes and what else is measured, with the weights as they are."""
    tokens, before = run.stream.tokens_consumed, run.measuring.period
    run.evaluation_due = True  # a run that is stopped in the middle does it again
    with run.progress.during(EVALUATION):
        losses = run.measuring.measure(run.step, tokens, run.grid.period_at(tokens), run.pulse)
        steer(run.stream, run.grid, run.reporter, losses)
    run.evaluation_due, run.evaluated = False, tokens
    if run.config.report.weight_distance and run.measuring.period != before and tokens > 0:
        run.checkpoints.pin(tokens)  # a resume reads the first weights of the period from it
        run.save()


def _record(run: Run, plan: BatchPlan, result: StepResult, rate: float, seconds: float) -> TrainRecord:
    return TrainRecord(
        step=run.step,
        tokens=plan.stop,
        loss=result.loss,
        lr=rate,
        grad_norm=result.grad_norm,
        batch_tokens=plan.tokens,
        seconds=seconds,
        sequence_length=plan.sequence_length,
        phase=plan.phase.name,
        skipped=not result.updated,
        loss_score=run.guard.verdict.loss_score,
        gradient_score=run.guard.verdict.gradient_score,
        replay=_replay(plan),
        sources=_progress(run, plan),
    )


def _replay(plan: BatchPlan) -> ReplayProgress | None:
    """General text in a batch and in the stretch of its phase so far, beside what the schedule says."""
    if plan.replayed is None:
        return None
    names = plan.phase.replayed
    return ReplayProgress(
        intended=sum(plan.scheduled.get(name, 0.0) for name in names),
        realised=sum(plan.realised.get(name, 0) for name in names) / plan.tokens,
        realised_in_phase=plan.replayed,
    )


def _progress(run: Run, plan: BatchPlan) -> dict[str, SourceProgress]:
    progress = {}
    for source in run.stream.sources:
        counters = run.stream.counters[source.id]
        tokens = counters.read + counters.skipped
        progress[source.name] = SourceProgress(
            language=source.language,
            batch_tokens=plan.realised.get(source.name, 0),
            tokens=tokens,
            epoch=epochs_read(source, run.stream.cursors[source.id]),
            intended=plan.scheduled.get(source.name, 0.0),
        )
    return progress
