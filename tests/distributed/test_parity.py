"""One seed gives one run, whatever the layout: losses, gradients, and which token sees which."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from gathering import full_gradients, full_logits
from ranks import run_ranks
from tiny import MICRO_ROWS, SEQUENCE, global_batch, share, tiny_config, tiny_engine

from megakor.config.schema import ParallelConfig
from megakor.data.rows import RowBatch
from megakor.train.engine import Engine

STEPS = 12
LEARNING_RATE = 3e-3
TOLERANCE = 1e-5
GOLDEN = Path(__file__).parent.parent / "golden" / "parity_fp32.txt"
GOLDEN_TOLERANCE = 1e-4
BF16_BAND = 0.03
"""Nats per token between BF16 layouts over the first 12 steps: sums of 8-bit mantissas in another order."""

LAYOUTS: dict[str, ParallelConfig] = {
    "tp2": ParallelConfig(tensor=2),
    "tp2 sp": ParallelConfig(tensor=2, sequence=True),
    "pp2": ParallelConfig(pipeline=2),
    "pp2 vpp2": ParallelConfig(pipeline=2, virtual_pipeline=2),
    "dp2": ParallelConfig(),
    "dp2 distributed optimizer": ParallelConfig(distributed_optimizer=True),
    "cp2": ParallelConfig(context=2),
    "tp2 pp2 sp": ParallelConfig(tensor=2, pipeline=2, sequence=True),
}
LONGER_BASE = 500_000.0
CHANGES = {
    "document": (slice(10, 16), slice(16, 22)),
    "cross-lingual": (slice(4, 10), slice(10, 22)),
    "none": (slice(10, 16), slice(16, SEQUENCE)),
}
"""By mask: the tokens of a row that are changed, and those after them that must see it; all others must not."""
RANKS = {name: 4 if name == "tp2 pp2 sp" else 2 for name in LAYOUTS}


@dataclass
class Outcome:
    """What one layout did."""

    losses: list[float]
    gradient_norms: list[float]
    gradients: dict[str, torch.Tensor]
    """Of the first step, in full shape."""
    leaks: dict[str, tuple[float, float]]
    """By mask: the largest change of a logit that must not see a change in the row; the smallest of one that must."""
    longer_losses: list[float]
    """Of the steps after the others: rows of twice the length, and another RoPE base."""


@cache
def outcome(name: str) -> Outcome:
    if name == "single":
        return run_ranks(_train, 1, ParallelConfig())[0]
    return run_ranks(_train, RANKS[name], LAYOUTS[name])[-1]


def _train(parallel: ParallelConfig, sabotage: str = "", precision: str = "fp32") -> Outcome:
    config = tiny_config(parallel)
    config.train.precision = precision
    with tiny_engine(config) as engine:
        if sabotage == "no norm reduction":
            for chunk in engine.bare_chunks:
                for parameter in chunk.parameters():
                    parameter.sequence_parallel = False
        if sabotage == "no overlap":
            engine.config.overlap_p2p_comm, engine.config.batch_p2p_comm = False, True
        engine.gradients(share(engine, global_batch(0), precision))
        gradients = full_gradients(engine)
        leaks = {} if sabotage or precision != "fp32" else {mask: leak(engine, mask) for mask in CHANGES}
        results = [
            engine.train_step(share(engine, global_batch(step), precision), LEARNING_RATE) for step in range(STEPS)
        ]
        engine.use_rope_base(LONGER_BASE)
        longer = [
            engine.train_step(share(engine, global_batch(step, 2 * SEQUENCE), precision), LEARNING_RATE).loss
            for step in range(2)
        ]
    return Outcome([step.loss for step in results], [step.grad_norm for step in results], gradients, leaks, longer)


def leak(engine: Engine, mask: str = "document") -> tuple[float, float]:
    """What moves when some tokens of the row change: of what must not see them the most, of what must the least."""
    change, seen = CHANGES[mask]
    before, after = _three_documents(mask), _three_documents(mask, change)
    copies = engine.topology.data_size * engine.topology.pipeline_size
    form = "none" if mask == "none" else "document"
    first, second = (full_logits(engine, share(engine, [rows] * copies, mask=form)) for rows in (before, after))
    if first is None or second is None:
        return 0.0, 0.0
    moved_BS = (first - second).abs().amax(dim=-1)
    moved_S = moved_BS.reshape(-1, SEQUENCE).amax(dim=0)
    unseen = torch.ones(SEQUENCE, dtype=torch.bool)
    unseen[change] = unseen[seen] = False
    return moved_S[unseen].max().item(), moved_S[seen].min().item()


def _three_documents(mask: str, change: slice = slice(0)) -> RowBatch:
    """Documents of 10 tokens, 12 and the rest; a cross-lingual group holds the first two."""
    generator = np.random.default_rng(7)
    tokens_BS = generator.integers(0, 500, (MICRO_ROWS, SEQUENCE))
    numbers = {"document": [0, 1, 2], "cross-lingual": [0, 0, 1], "none": [0, 0, 0]}[mask]
    segments_S = np.repeat(numbers, [10, 12, SEQUENCE - 22]).astype(np.int32)
    tokens_BS[:, change] += 300
    shape = tokens_BS.shape
    return RowBatch(
        tokens_BS=tokens_BS,
        labels_BS=np.zeros(shape, np.int64),
        loss_mask_BS=np.ones(shape, np.float32),
        segments_BS=np.tile(segments_S, (MICRO_ROWS, 1)),
        positions_BS=np.tile(np.arange(SEQUENCE), (MICRO_ROWS, 1)),
    )


def gradient_error(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """The largest difference of a parameter's gradient, in units of the norm of that gradient."""
    assert found.keys() == wanted.keys()
    return max(((found[name] - wanted[name]).norm() / wanted[name].norm()).item() for name in wanted)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_changes_neither_losses_nor_gradients(name: str) -> None:
    single, other = outcome("single"), outcome(name)
    assert np.abs(np.subtract(other.losses, single.losses)).max() < TOLERANCE
    assert gradient_error(other.gradients, single.gradients) < TOLERANCE
    np.testing.assert_allclose(other.gradient_norms, single.gradient_norms, rtol=1e-4)


def test_the_model_learns_in_these_steps() -> None:
    assert outcome("single").losses[-1] < outcome("single").losses[0] - 0.3


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_rope_base_and_longer_rows_are_the_same_on_every_layout(name: str) -> None:
    assert np.abs(np.subtract(outcome(name).longer_losses, outcome("single").longer_losses)).max() < TOLERANCE


@pytest.mark.parametrize("mask", ["document", "cross-lingual", "none"])
@pytest.mark.parametrize("name", ["single", *LAYOUTS])
def test_a_logit_depends_on_its_own_segment_and_on_all_of_it(name: str, mask: str) -> None:
    unseen, seen = outcome(name).leaks[mask]
    assert unseen == 0.0
    assert seen > 1e-4


def test_the_curve_is_the_golden_one() -> None:
    golden = [float(line.split()[1]) for line in GOLDEN.read_text().splitlines()]
    assert np.abs(np.subtract(outcome("single").losses, golden)).max() < GOLDEN_TOLERANCE


def test_bf16_stays_in_its_band() -> None:
    single = run_ranks(_train, 1, ParallelConfig(), "", "bf16")[0]
    split = run_ranks(_train, 2, LAYOUTS["tp2 sp"], "", "bf16")[0]
    assert np.abs(np.subtract(split.losses, single.losses)).max() < BF16_BAND
    assert np.abs(np.subtract(single.losses, outcome("single").losses)).max() < BF16_BAND


def test_a_missing_norm_reduction_is_noticed() -> None:
    broken = run_ranks(_train, 2, LAYOUTS["tp2 sp"], "no norm reduction")[0]
    assert gradient_error(broken.gradients, outcome("single").gradients) > 1e3 * TOLERANCE


def test_interleaving_without_overlapped_communication_is_noticed() -> None:
    broken = run_ranks(_train, 2, LAYOUTS["pp2 vpp2"], "no overlap")[0]
    assert gradient_error(broken.gradients, outcome("single").gradients) > 1e3 * TOLERANCE


def test_a_new_golden_curve_has_a_line_in_the_changelog() -> None:
    digest = hashlib.sha256(GOLDEN.read_bytes()).hexdigest()[:12]
    assert f"golden curve {digest}" in (GOLDEN.parent.parent.parent / "CHANGELOG.md").read_text()
