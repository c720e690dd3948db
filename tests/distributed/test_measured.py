"""Probes and distances of weights are the same on every layout, and those of a plain computation."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from measured import ITEMS, Measured, measured, write_items
from ranks import run_ranks

from megakor.config.schema import ParallelConfig
from megakor.data.probe_items import read_items
from megakor.train.probes import judge_choices

LAYOUTS: dict[str, tuple[int, ParallelConfig, dict[str, object]]] = {
    "tp2 sp": (2, ParallelConfig(tensor=2, sequence=True), {}),
    "pp2 vpp2, tied embeddings": (2, ParallelConfig(pipeline=2, virtual_pipeline=2), {"tied_embeddings": True}),
    "dp2 distributed optimizer": (2, ParallelConfig(distributed_optimizer=True), {}),
    "cp2": (2, ParallelConfig(context=2), {}),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("probes"))


@cache
def alone(path: Path, tied: bool = False) -> Measured:
    return run_ranks(measured, 1, ParallelConfig(), path, "fp32", {"tied_embeddings": tied})[0]


def test_choices_have_the_losses_of_one_forward_pass_each(path: Path) -> None:
    found = alone(path)
    assert found.directly is not None
    np.testing.assert_allclose(found.losses, found.directly, rtol=1e-5)
    np.testing.assert_allclose(judged(path, found.losses), judged(path, found.directly), rtol=1e-5)


def judged(path: Path, losses: np.ndarray) -> list[float]:
    return [score for *_, scores in judge_choices(read_items(path, 9), losses) for score in scores.values()]


def test_scores_come_by_domain_and_copies_gain_nothing_at_first(path: Path) -> None:
    general, domain, copying = alone(path).probes[:3]
    assert [(record.domain, record.items) for record in (general, domain)] == [("general", 2), ("domain", 2)]
    assert copying.scores["first_copy_loss"] == pytest.approx(math.log(1000), abs=0.5)
    assert abs(copying.scores["copying_gain"]) < 0.3


def test_weights_begin_where_they_are_and_move(path: Path) -> None:
    first, later = alone(path).weights
    assert first.layers == [0.0] * 4 and first.distance == 0 and first.ratio is None and first.edge == 2
    assert all(moved > 1e-3 for moved in later.layers)
    # AdamW moves every weight by about the learning rate at each of two steps.
    assert 0.3 < later.distance / (2 * 3e-3 * math.sqrt(2 * 1024 * 32 + 4 * 11_600)) < 1.2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_changes_nothing_that_is_measured(path: Path, layout: str) -> None:
    size, parallel, model = LAYOUTS[layout]
    wanted = alone(path, bool(model))
    for found in run_ranks(measured, size, parallel, path, "fp32", model):
        np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-5)
        for mine, single in zip(found.probes, wanted.probes, strict=True):
            assert (mine.probe, mine.domain, mine.items) == (single.probe, single.domain, single.items)
            assert mine.scores == pytest.approx(single.scores, abs=1e-5)
        for mine, single in zip(found.weights, wanted.weights, strict=True):
            assert mine.layers == pytest.approx(single.layers, rel=1e-4)
            assert mine.distance == pytest.approx(single.distance, rel=1e-4)


def test_bf16_counts_what_is_too_small_for_its_weights_however_the_optimizer_divides_them(path: Path) -> None:
    wanted = alone(path).weights[-1]
    for parallel in (ParallelConfig(), ParallelConfig(distributed_optimizer=True)):
        found = run_ranks(measured, 2, parallel, path, "bf16")[0].weights[-1]
        assert found.layers == pytest.approx(wanted.layers, rel=0.05)
        assert found.distance == pytest.approx(wanted.distance, rel=0.05)


def test_there_is_an_item_that_does_not_fit_in_a_row() -> None:
    assert max(len(str(item["question"])) for item in ITEMS) > 32
