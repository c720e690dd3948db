"""How a run ends: at its budget, when the data are used up, or when the loss is no longer a number."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.phases import PhaseSpan
from megakor.config.schema import Config
from megakor.data.mixture import CapPassedError, DataExhaustedError
from megakor.errors import DivergedError, ExitCode
from megakor.resilience.anomalies import STOP
from megakor.resilience.guard import Guard
from megakor.resilience.progress import Progress
from megakor.train import loop
from megakor.train.engine import StepResult
from megakor.train.measuring import Period

BATCH = 100


class Stream:
    """Gives `batches` batches, and no more."""

    def __init__(self, batches: int, consumed: int = 0) -> None:
        self.batches = batches
        self.tokens_consumed = consumed
        self.end: type[DataExhaustedError] = DataExhaustedError

    steering = SimpleNamespace(awaits=lambda tokens, grid: False)

    def next_batch(self, skip: bool) -> SimpleNamespace:
        if self.batches == 0:
            raise self.end("the data are exhausted")
        self.batches -= 1
        start, self.tokens_consumed = self.tokens_consumed, self.tokens_consumed + BATCH
        return SimpleNamespace(start=start, stop=self.tokens_consumed, skipped=skip)


class Story:
    """A run of stand-ins that writes down what the loop asks for, with the tokens consumed."""

    def __init__(self, batches: int, budget: int, consumed: int = 0, every: int | None = None) -> None:
        config = Config()
        config.evaluation.every = every
        self.told: list[tuple[str, int]] = []
        self.run: Any = SimpleNamespace(
            config=config,
            stream=Stream(batches, consumed),
            schedule=SimpleNamespace(total_tokens=budget),
            grid=EvaluationGrid.compile(config, [PhaseSpan(0, "main", 0, budget, {}, 1)]),
            measuring=SimpleNamespace(conclude=lambda tokens: None, period=Period(0 if consumed else None)),
            step=consumed // BATCH,
            evaluated=consumed,
            evaluation_due=False,
            guard=Guard(config.resilience.anomalies),
            progress=Progress({}, 1.0),
            stopping=SimpleNamespace(check=lambda: None, poll=lambda: None),
            reporter=SimpleNamespace(event=lambda name, **_: self.tell(name)),
            checkpoints=SimpleNamespace(poll=lambda: None),
            save=lambda final=False: self.tell("save"),
        )

    def tell(self, what: str) -> None:
        self.told.append((what, self.run.stream.tokens_consumed))

    def train(self, run: Any, plan: Any) -> None:
        run.step += 1

    def evaluate(self, run: Any) -> None:
        self.tell("evaluate")
        run.evaluated = run.stream.tokens_consumed


def fit(story: Story, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    monkeypatch.setattr(loop, "train", story.train)
    monkeypatch.setattr(loop, "evaluate", story.evaluate)
    loop.fit(story.run)
    return story.told


def test_a_run_is_evaluated_before_its_first_step_and_after_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit(Story(9, 300), monkeypatch) == [("evaluate", 0), ("evaluate", 300), ("save", 300)]


def test_a_run_that_has_nothing_left_to_do_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit(Story(9, 300, consumed=300), monkeypatch) == [("save", 300)]


def test_a_run_that_ends_for_want_of_data_is_evaluated_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [("evaluate", 0), ("data_exhausted", 200), ("evaluate", 200), ("save", 200)]
    assert fit(Story(2, 300), monkeypatch) == told


def test_the_same_weights_are_not_evaluated_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [("evaluate", 0), ("evaluate", 200), ("data_exhausted", 200), ("save", 200)]
    assert fit(Story(2, 300, every=200), monkeypatch) == told
    assert fit(Story(0, 300, consumed=200), monkeypatch) == [("data_exhausted", 200), ("save", 200)]


def test_data_that_cannot_fill_one_batch_are_an_error_and_leave_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(0, 300)
    with pytest.raises(DataExhaustedError) as raised:
        fit(story, monkeypatch)
    assert raised.value.on_every_rank
    assert story.told == [("evaluate", 0)]


def test_a_run_that_has_to_fail_at_a_cap_is_saved_first(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(2, 300)
    story.run.stream.end = CapPassedError
    with pytest.raises(CapPassedError) as raised:
        fit(story, monkeypatch)
    assert (raised.value.exit_code, raised.value.on_every_rank) == (ExitCode.DATA, True)
    assert story.told == [("evaluate", 0), ("data_exhausted", 200), ("save", 200)]


@pytest.mark.parametrize(("loss", "grad_norm"), [(math.nan, 1.0), (1.0, math.inf)])
def test_a_checkpoint_that_is_still_being_written_survives_a_divergence(
    loss: float, grad_norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []
    config = Config()
    config.resilience.anomalies.not_finite = STOP
    topology = SimpleNamespace(data_rank=0, data_size=1)
    run: Any = SimpleNamespace(
        config=config,
        engine=SimpleNamespace(
            topology=topology,
            device=None,
            train_step=lambda batches, rate, allows: StepResult(loss, BATCH, grad_norm, allows(loss, grad_norm)),
            use_rope_base=lambda base: None,
        ),
        stream=SimpleNamespace(sources=None, leave_untrained=lambda plan: plan),
        guard=Guard(config.resilience.anomalies),
        progress=Progress({}, 1.0),
        times=SimpleNamespace(begin=lambda: None, step_over=lambda step, tokens: None),
        learning_rate=SimpleNamespace(at=lambda tokens: 0.1),
        ledger=None,
        reporter=SimpleNamespace(train=lambda record: None, measures=lambda records: None),
        checkpoints=SimpleNamespace(wait=lambda: waited.append(True)),
        step=3,
    )
    monkeypatch.setattr(loop, "micro_batches", lambda *_: [])
    monkeypatch.setattr(loop, "_record", lambda *_: None)
    phase = SimpleNamespace(name="main", mask="document", loss_mask_tokens=(), rope_base=1e4)
    plan: Any = SimpleNamespace(rows=(), start=0, stop=BATCH, sequence_length=10, phase=phase)
    with pytest.raises(DivergedError, match="step 4 at 100 tokens"):
        loop.train(run, plan)
    assert waited == [True]
