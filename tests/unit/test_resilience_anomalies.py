"""Spikes, and what a guard does about them; what it remembers is exact."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.schema_resilience import AnomaliesConfig
from megakor.resilience.anomalies import LEAST_SPREAD, Window
from megakor.resilience.guard import Guard

FINITE = st.floats(0.1, 20.0)
SETTINGS = AnomaliesConfig(
    not_finite="skip_update", loss_spike="skip_data", gradient_spike="rollback", window=8, least=4, skip_tokens=200
)


@given(st.lists(FINITE, min_size=4, max_size=30), FINITE)
def test_a_score_is_the_modified_z_score_of_the_window(values: list[float], value: float) -> None:
    window = Window(8, 4)
    for earlier in values:
        window.add(earlier)
    kept = values[-8:]
    median = statistics.median(kept)
    deviation = 1.4826 * statistics.median([abs(earlier - median) for earlier in kept])
    wanted = (value - median) / max(deviation, LEAST_SPREAD * median)
    assert window.score(value) == pytest.approx(wanted)


def test_spikes_in_the_window_do_not_hide_the_next_one() -> None:
    window = Window(16, 4)
    for value in [3.0, 3.1, 2.9, 3.05, 9.0, 3.0, 9.5, 2.95, 3.02, 3.08, 9.2]:
        window.add(value)
    assert (window.score(9.0) or 0) > 20
    assert (window.score(3.2) or 0) < 3


def test_too_few_numbers_have_no_score() -> None:
    window = Window(8, 4)
    for value in (1.0, 1.0, 1.0):
        window.add(value)
    assert window.score(100.0) is None


def guard_after(settings: AnomaliesConfig, steps: int = 6) -> Guard:
    guard = Guard(settings)
    guard.begin("main")
    for step in range(steps):
        assert guard.allows(100 * (step + 1), 3.0 + step % 2 / 10, 1.0)
    return guard


@pytest.mark.parametrize(
    ("loss", "norm", "anomaly", "action"),
    [
        (3.05, 1.0, None, None),
        (math.nan, 1.0, "not_finite", "skip_update"),
        (3.0, math.inf, "not_finite", "skip_update"),
        (-math.inf, 1.0, "not_finite", "skip_update"),
        (9.0, 1.0, "loss_spike", "skip_data"),
        (1.0, 1.0, None, None),
        (3.0, 9.0, "gradient_spike", "rollback"),
    ],
)
def test_each_kind_has_its_action(loss: float, norm: float, anomaly: str | None, action: str | None) -> None:
    guard = guard_after(SETTINGS)
    assert guard.allows(700, loss, norm) == (action is None)
    assert (guard.verdict.anomaly, guard.verdict.action) == (anomaly, action)
    assert guard.refused == (action is not None)


def test_what_is_only_reported_is_trained_on_and_counts() -> None:
    guard = guard_after(AnomaliesConfig(window=8, least=4))
    assert guard.allows(700, 9.0, 1.0)
    assert guard.verdict.anomaly == "loss_spike"
    assert guard.state_dict()["losses"][-1] == 9.0


def test_data_are_passed_over_up_to_a_token_and_no_further() -> None:
    guard = guard_after(SETTINGS)
    guard.allows(700, 9.0, 1.0)
    assert [guard.passed_over_until(tokens) for tokens in (700, 899, 900)] == [900, 900, None]


def test_data_of_rollbacks_are_passed_over() -> None:
    guard = Guard(SETTINGS, [(400, 600), (500, 800)])
    assert [guard.passed_over_until(tokens) for tokens in (399, 400, 500, 799, 800)] == [None, 600, 800, 800, None]


def test_another_phase_has_losses_of_its_own() -> None:
    guard = guard_after(SETTINGS)
    guard.begin("other")
    assert guard.allows(700, 9.0, 1.0)


def test_refusals_without_end_are_a_stop() -> None:
    guard = guard_after(AnomaliesConfig(not_finite="skip_update", most_in_a_row=3))
    actions = []
    for step in range(7, 11):
        assert not guard.allows(100 * step, math.nan, math.nan)
        actions.append(guard.verdict.action)
    assert actions == ["skip_update"] * 3 + ["stop"]
    assert "4 steps in a row" in guard.verdict.why_stop


@given(
    st.lists(st.tuples(st.one_of(FINITE, st.just(math.nan), st.just(60.0)), FINITE), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_a_guard_that_is_stored_as_json_judges_as_one_that_goes_on(
    steps: list[tuple[float, float]], stored_after: int
) -> None:
    whole, resumed = Guard(SETTINGS), Guard(SETTINGS)
    for index, (loss, norm) in enumerate(steps):
        if index == stored_after:
            state = json.loads(json.dumps(resumed.state_dict()))
            resumed = Guard(SETTINGS)
            resumed.load_state_dict(state)
        for guard in (whole, resumed):
            guard.begin("main" if index < 20 else "late")
        assert whole.allows(100 * index, loss, norm) == resumed.allows(100 * index, loss, norm)
        assert repr(whole.verdict) == repr(resumed.verdict)
        assert whole.passed_over_until(100 * index) == resumed.passed_over_until(100 * index)
    assert whole.state_dict() == resumed.state_dict()
