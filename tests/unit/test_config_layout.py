"""Parameter counts, batches and ranks, against published figures and hand counts."""

from pathlib import Path

import pytest
from config_base import write
from hypothesis import given
from hypothesis import strategies as st

from megakor.config.layout import (
    batch_quantum,
    data_parallel_size,
    micro_batches,
)
from megakor.config.load import load_config
from megakor.config.parameters import count_parameters, padded_vocabulary
from megakor.config.schema import Config, ModelConfig, ParallelConfig
from megakor.config.schema_training import TrainConfig
from megakor.config.words import common_divisors, multiples_near, one_of

KORMO = ModelConfig(40, 4096, 16384, 32, 8, 128, vocabulary_multiple=128)


def test_kormo_has_the_parameters_that_it_publishes() -> None:
    count = count_parameters(KORMO, 125_184)
    assert count.total == pytest.approx(10.756e9, rel=1e-4)
    assert count.embedding + count.output == 2 * 125_184 * 4096
    assert count.non_embedding == pytest.approx(9.73e9, rel=1e-3)
    assert count.padding == 0


def test_parameters_of_a_tiny_model_counted_by_hand() -> None:
    model = ModelConfig(2, 8, 12, 4, 2, head_dimension=6, vocabulary_multiple=16, qk_norm=True, tied_embeddings=True)
    count = count_parameters(model, 10)
    attention = 8 * 24 + 2 * 8 * 12 + 24 * 8
    assert count.per_layer == attention + 3 * 8 * 12 + 2 * 8 + 2 * 6
    assert count.total == 10 * 8 + 2 * count.per_layer + 8
    assert count.stored == count.total + 6 * 8
    assert padded_vocabulary(model, 10) == 16


def test_layout_of_a_run_on_several_ranks() -> None:
    config = Config(
        parallel=ParallelConfig(2, 2, context=2), train=TrainConfig(sequence_length=512, micro_batch_size=4)
    )
    assert data_parallel_size(config, 32) == 4
    assert batch_quantum(config, 32) == 512 * 4 * 4
    assert micro_batches(config, 512, 3 * 512 * 4 * 4, 32) == 3


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_the_nearest_multiples_enclose_the_value(value: int, of: int) -> None:
    near = multiples_near(value, of)
    assert all(multiple % of == 0 and abs(multiple - value) < of for multiple in near if value >= of)
    assert near and near == sorted(near)


def test_numbers_in_sentences() -> None:
    assert one_of([1]) == "1"
    assert one_of([1, 2, 4]) == "1, 2 or 4"
    assert common_divisors([8, 12], 8) == [1, 2, 4]
    assert multiples_near(3, 8) == [8]


def test_layout_functions_agree_with_a_loaded_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert (data_parallel_size(config, 4), batch_quantum(config, 4)) == (4, 2048)
