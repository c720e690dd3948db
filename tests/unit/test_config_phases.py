"""Phases and steps as a config lays them out, and as the schedule of a run walks through them."""

from hypothesis import given
from hypothesis import strategies as st

from megakor.config.phases import batch_tokens_at, block_length, phases_of, sequence_lengths, steps_of
from megakor.config.schema import Config
from megakor.config.schema_data import DataConfig, PhaseConfig, SourceConfig
from megakor.config.schema_training import BatchRampConfig, TrainConfig
from megakor.curriculum.schedule import Schedule


def _config(tokens: int, phases: list[PhaseConfig], ramp: BatchRampConfig | None = None) -> Config:
    train = TrainConfig(tokens, 64, 1, 8, batch_ramp=ramp)
    sources = {name: SourceConfig(name, "ko") for name in "ab"}
    return Config(train=train, data=DataConfig(sources=sources, phases=phases))


def test_an_open_last_phase_gets_the_rest_and_weights_become_shares() -> None:
    config = _config(1000, [PhaseConfig("one", 300, {"a": 3, "b": 1}), PhaseConfig("two", None, {"a": 0, "b": 2}, 32)])
    one, two = phases_of(config)
    assert (one.start, one.stop, two.start, two.stop) == (0, 300, 300, 1000)
    assert (one.weights, two.weights) == ({"a": 0.75, "b": 0.25}, {"b": 1.0})
    assert (sequence_lengths(config), block_length(config)) == ([8, 32], 32)


def test_without_phases_all_sources_weigh_the_same() -> None:
    [phase] = phases_of(_config(1000, []))
    assert (phase.name, phase.start, phase.stop, phase.sequence_length) == ("main", 0, 1000, 8)
    assert phase.weights == {"a": 0.5, "b": 0.5}


def test_the_hash_changes_with_what_is_read_only() -> None:
    first, again, other = (
        phases_of(_config(tokens, [PhaseConfig("p", None, {"a": share, "b": 1})]))[0].hash
        for share, tokens in ((1, 1000), (1, 9000), (2, 1000))
    )
    assert first == again != other


def test_the_batch_ramp_is_linear_in_multiples_of_its_start() -> None:
    ramp = BatchRampConfig(start=16, over=480)
    sizes = [batch_tokens_at(tokens, 64, ramp) for tokens in (0, 159, 160, 320, 479, 480, 10**12)]
    assert sizes == [16, 16, 32, 48, 48, 64, 64]
    assert batch_tokens_at(0, 64, None) == 64


def test_a_batch_belongs_to_the_phase_of_its_first_token() -> None:
    counted = steps_of(
        _config(300, [PhaseConfig("one", 100, {"a": 1}), PhaseConfig("two", 20, {"b": 1}), PhaseConfig("c")])
    )
    assert [(phase.steps, phase.tokens) for phase in counted] == [(2, 128), (0, 0), (3, 192)]


@given(
    tokens=st.integers(1, 4000),
    lengths=st.lists(st.integers(1, 900), max_size=3),
    ramp=st.none() | st.builds(BatchRampConfig, st.sampled_from([8, 16, 32, 64]), st.integers(1, 3000)),
)
def test_steps_are_those_that_the_schedule_of_a_run_takes(
    tokens: int, lengths: list[int], ramp: BatchRampConfig | None
) -> None:
    phases = [PhaseConfig(str(index), length, {"a": 1.0}) for index, length in enumerate(lengths)]
    config = _config(tokens, [*phases, PhaseConfig("last", None, {"b": 1.0})], ramp)
    schedule, position = Schedule.compile(config), 0
    taken = dict.fromkeys((phase.name for phase in phases_of(config)), 0)
    while position < tokens:
        taken[schedule.phase_at(position).name] += 1
        position += schedule.batch_tokens_at(position)
    assert {counted.phase.name: counted.steps for counted in steps_of(config)} == taken
    assert sum(counted.tokens for counted in steps_of(config)) == position
