from hypothesis import given
from hypothesis import strategies as st

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.curriculum.schedule import Schedule


def config_of(*phases: PhaseConfig, tokens: int = 1000) -> Config:
    config = Config()
    config.data.sources = {"ko": SourceConfig(), "en": SourceConfig()}
    config.data.phases = list(phases)
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = tokens, 64, 16
    return config


@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=5), tokens=st.integers(0, 3000))
def test_a_phase_covers_the_batches_that_begin_in_it(lengths: list[int], tokens: int) -> None:
    phases = [PhaseConfig(f"p{index}", length, {"ko": 1}) for index, length in enumerate(lengths)]
    schedule = Schedule.compile(config_of(*phases, PhaseConfig("last", None, {"en": 1}), tokens=2500))
    span = schedule.phase_at(tokens)
    assert span.start <= tokens
    assert tokens < span.stop or span.name == "last"
    assert span in schedule.phases_between(tokens, tokens + 1)


def test_a_phase_has_its_own_sequence_length_or_the_runs() -> None:
    phases = PhaseConfig("a", 100, {"ko": 1}, sequence_length=8), PhaseConfig("b", None, {"ko": 1})
    schedule = Schedule.compile(config_of(*phases))
    assert [schedule.phase_at(tokens).sequence_length for tokens in (0, 99, 100)] == [8, 8, 16]
    assert schedule.longest_sequence == 16
