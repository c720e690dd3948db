"""The controller of replay: bounds, the dead band, and a model that answers late."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.schema_controllers import ReplayControllerConfig
from megakor.curriculum.replay_controller import Turn, next_ratio

SETTINGS = ReplayControllerConfig(tolerance=0.1, release=0.04, minimum=0.1, maximum=0.4, step=0.1, patience=2)


def ratios(rises: list[float], settings: ReplayControllerConfig = SETTINGS, begins: float = 0.2) -> list[float]:
    turn = Turn(begins, 0)
    found = []
    for rise in rises:
        turn = next_ratio(settings, begins, turn, rise)
        found.append(turn.ratio)
    return found


@pytest.mark.parametrize(
    ("rises", "expected"),
    [
        ([0.11, 0.12], [0.3, 0.4]),
        ([0.11, 0.12, 0.13], [0.3, 0.4, 0.4]),
        ([0.1, 0.05, 0.041], [0.2, 0.2, 0.2]),
        ([0.04, 0.0], [0.2, 0.1]),
        ([0.04, 0.05, 0.03], [0.2, 0.2, 0.2]),
        ([0.0, 0.0, 0.0, 0.0], [0.2, 0.1, 0.1, 0.1]),
        ([0.2, -1.0, -1.0, 0.2], [0.3, 0.3, 0.2, 0.3]),
    ],
)
def test_up_at_once_down_with_patience_and_still_in_between(rises: list[float], expected: list[float]) -> None:
    assert ratios(rises) == expected


def test_it_goes_back_to_where_the_phase_began_unless_told_otherwise() -> None:
    settings = ReplayControllerConfig(tolerance=0.1, maximum=0.5, step=0.2, patience=1)
    assert ratios([0.2, 0.2, 0.0, 0.0, 0.0], settings) == [0.4, 0.5, 0.3, 0.2, 0.2]


def test_new_bounds_hold_from_the_next_decision_on() -> None:
    assert next_ratio(SETTINGS, 0.2, Turn(0.7, 0), 0.07).ratio == 0.4


@given(rises=st.lists(st.floats(-1, 1), max_size=60), patience=st.integers(1, 4))
def test_it_turns_around_only_when_the_loss_has_crossed_the_band(rises: list[float], patience: int) -> None:
    settings = ReplayControllerConfig(0.1, 0.04, "phase", 0.1, 0.4, 0.1, patience)
    found = ratios(rises, settings)
    assert all(0.1 <= ratio <= 0.4 for ratio in found)
    moves = [(after - before, number + 1) for number, (before, after) in enumerate(pairwise([0.2, *found]))]
    moves = [(move, number) for move, number in moves if move]
    for (first, _), (second, at) in pairwise(moves):
        if first > 0 > second:
            assert all(rise <= 0.04 for rise in rises[at - patience : at])
        if first < 0 < second:
            assert rises[at - 1] > 0.1


@given(noise=st.lists(st.floats(-0.029, 0.029), min_size=20, max_size=60), level=st.floats(-0.5, 0.5))
def test_noise_of_less_than_half_a_band_never_makes_it_turn_around(noise: list[float], level: float) -> None:
    found = [0.2, *ratios([level + one for one in noise])]
    moves = {after > before for before, after in pairwise(found) if after != before}
    assert len(moves) <= 1


def test_a_model_that_forgets_and_answers_late_is_brought_back_into_its_tolerance_and_left_there() -> None:
    """Forgetting goes towards 0.48 - ratio nats, a fifth of the way from one evaluation to the next."""
    settings = ReplayControllerConfig(tolerance=0.1, minimum=0.05, maximum=0.6, step=0.05)
    turn, rise, found = Turn(0.1, 0), 0.0, []
    for _ in range(100):
        turn = next_ratio(settings, 0.1, turn, rise)
        rise += 0.2 * (0.48 - turn.ratio - rise)
        found.append((turn.ratio, rise))
    assert max(rise for _, rise in found) > 0.1
    assert all(0 < rise <= 0.1 for _, rise in found[30:])
    assert len({ratio for ratio, _ in found[60:]}) == 1, "it has come to rest"
