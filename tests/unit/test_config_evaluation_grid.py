"""Where a run is evaluated, with a grid for the run and grids of phases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from megakor.config.evaluation_grid import EvaluationGrid, evaluated_at
from megakor.config.phases import batch_ends, phases_of
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, PhaseEvaluationConfig, SourceConfig
from megakor.config.schema_training import BatchRampConfig


def config_with(*phases: PhaseConfig, every: int | None = None, early: tuple[int, ...] = ()) -> Config:
    config = Config()
    config.data.sources = {"a": SourceConfig("a", "ko")}
    for phase in phases:
        phase.weights = {"a": 1.0}
    config.data.phases = list(phases)
    config.train.tokens = 100
    config.evaluation.every, config.evaluation.early = every, list(early)
    return config


def found(config: Config, batch: int = 1) -> list[int]:
    """Batch boundaries after which the run is evaluated."""
    grid = EvaluationGrid.compile(config, phases_of(config))
    return [after for after in range(batch, 100 + 1, batch) if grid.is_due(after - batch, after)]


def own(every: int | None = None, *early: int) -> PhaseEvaluationConfig:
    return PhaseEvaluationConfig(every, list(early))


def test_early_points_make_a_grid_denser_at_the_start() -> None:
    config = config_with(every=40, early=(1, 3, 7))
    assert found(config) == [1, 3, 7, 40, 80]
    assert found(config, batch=5) == [5, 10, 40, 80]


def test_without_a_grid_only_beginning_and_end_count() -> None:
    assert found(config_with()) == []


def test_a_phase_may_have_a_grid_counted_from_its_start_which_is_its_first_point() -> None:
    config = config_with(PhaseConfig("one", 50), PhaseConfig("two", evaluation=own(20, 2, 5)), every=30)
    assert found(config) == [30, 50, 52, 55, 70, 90]


def test_the_grid_of_a_phase_ends_with_it() -> None:
    config = config_with(
        PhaseConfig("one", 30, evaluation=own(None, 10, 60)), PhaseConfig("two"), every=40, early=(20,)
    )
    assert found(config) == [10, 40, 80]


def test_a_point_where_phases_meet_belongs_to_the_later_one() -> None:
    config = config_with(PhaseConfig("one", 40, evaluation=own(40)), PhaseConfig("two"))
    assert found(config) == []
    config = config_with(PhaseConfig("one", 40, evaluation=own()), PhaseConfig("two"), every=40)
    assert found(config) == [40, 80]


@given(st.integers(1, 30), st.lists(st.integers(1, 110), max_size=4), st.integers(1, 60), st.integers(1, 17))
def test_larger_batches_evaluate_at_the_first_boundary_after_each_point(
    every: int, early: list[int], first: int, batch: int
) -> None:
    config = config_with(
        PhaseConfig("one", first), PhaseConfig("two", evaluation=own(every, *early)), every=7, early=(3,)
    )
    wanted = sorted({-(-point // batch) * batch for point in found(config)})
    assert found(config, batch) == [point for point in wanted if point <= 100]


@given(
    st.integers(1, 30),
    st.lists(st.integers(1, 110), max_size=4),
    st.integers(1, 60),
    st.integers(1, 17),
    st.integers(1, 17),
    st.sampled_from([None, BatchRampConfig(1, 20)]),
)
def test_a_plan_names_every_place_where_a_run_is_evaluated(
    every: int, early: list[int], first: int, batch: int, other_batch: int, ramp: BatchRampConfig | None
) -> None:
    config = config_with(
        PhaseConfig("one", first),
        PhaseConfig("two", evaluation=own(every, *early), global_batch_size=other_batch),
        every=7,
        early=(3,),
    )
    config.train.global_batch_size, config.train.sequence_length, config.train.batch_ramp = batch, 1, ramp
    grid = EvaluationGrid.compile(config, phases_of(config))
    walked, places = 0, [0]
    for ends in batch_ends(config):
        for end in ends:
            places += [end] if grid.is_due(walked, end) else []
            walked = end
    assert walked >= 100
    assert evaluated_at(config) == sorted({*places, walked})


def test_what_is_measured_against_is_the_start_of_the_newest_phase_with_a_grid() -> None:
    config = config_with(PhaseConfig("one", 30), PhaseConfig("two", 30, evaluation=own(5)), PhaseConfig("three"))
    grid = EvaluationGrid.compile(config, phases_of(config))
    assert [grid.period_at(tokens) for tokens in (0, 29, 30, 59, 60, 100)] == [0, 0, 30, 30, 30, 30]
