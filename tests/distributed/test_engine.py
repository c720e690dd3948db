"""Settings of the engine that must not change what is learned, or must change it in one way only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gathering import full_gradients
from ranks import run_ranks
from test_parity import LEARNING_RATE, TOLERANCE, gradient_error
from tiny import SEQUENCE, global_batch, share, tiny_config, tiny_engine

from megakor.config.schema import ParallelConfig

STEPS = 3


def train(
    parallel: ParallelConfig, recompute: str = "none", mask: str = "document", **model: object
) -> tuple[list[float], dict[str, torch.Tensor]]:
    config = tiny_config(parallel, **model)
    config.train.recompute = recompute
    with tiny_engine(config) as engine:
        engine.gradients(share(engine, global_batch(0), mask=mask))
        gradients = full_gradients(engine)
        losses = [
            engine.train_step(share(engine, global_batch(step), mask=mask), LEARNING_RATE).loss for step in range(STEPS)
        ]
    return losses, gradients


def norm_and_change(clip_grad: float) -> tuple[float, float]:
    """The gradient norm that a step reports, and what it changed in the weights."""
    config = tiny_config(ParallelConfig())
    config.optimizer.clip_grad = clip_grad
    # So large that AdamW's step is proportional to the gradient, and clipping shows.
    config.optimizer.epsilon = 1e3
    config.optimizer.weight_decay = 0.0
    with tiny_engine(config) as engine:
        before = [parameter.detach().clone() for parameter in engine.bare_chunks[0].parameters()]
        found = engine.train_step(share(engine, global_batch(0)), LEARNING_RATE)
        after = engine.bare_chunks[0].parameters()
        change = sum(float((new - old).abs().sum()) for new, old in zip(after, before, strict=True))
    return found.grad_norm, change


def test_the_gradient_norm_is_reported_with_clipping_and_without() -> None:
    (clipped_norm, clipped_change), (norm, change) = (run_ranks(norm_and_change, 1, limit)[0] for limit in (1e-3, 0.0))
    assert norm == clipped_norm > 1e-2
    assert change > 2 * clipped_change > 0


def step_without_tokens(parallel: ParallelConfig) -> tuple[float, int, float]:
    """Loss, tokens and gradient norm of a global batch in which no label counts."""
    with tiny_engine(tiny_config(parallel)) as engine:
        rows = [replace(batch, loss_mask_BS=np.zeros_like(batch.loss_mask_BS)) for batch in global_batch(0)]
        found = engine.train_step(share(engine, rows), LEARNING_RATE)
    return found.loss, found.tokens, found.grad_norm


def test_a_batch_without_tokens_has_no_gradient() -> None:
    assert run_ranks(step_without_tokens, 2, ParallelConfig(pipeline=2)) == [(0.0, 0, 0.0)] * 2


def alone(
    recompute: str = "none", mask: str = "document", **model: object
) -> tuple[list[float], dict[str, torch.Tensor]]:
    return run_ranks(_train_with, 1, ParallelConfig(), recompute, mask, model)[0]


def _train_with(
    parallel: ParallelConfig, recompute: str, mask: str, model: dict[str, object]
) -> tuple[list[float], dict[str, torch.Tensor]]:
    return train(parallel, recompute, mask, **model)


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_recomputation_changes_nothing(recompute: str) -> None:
    (wanted, gradients), (found, others) = alone(), alone(recompute)
    assert np.abs(np.subtract(found, wanted)).max() < TOLERANCE
    assert gradient_error(others, gradients) < TOLERANCE


def test_tied_embeddings_are_one_parameter_across_pipeline_stages() -> None:
    wanted, gradients = alone(tied_embeddings=True)
    found, others = run_ranks(
        _train_with, 2, ParallelConfig(pipeline=2), "none", "document", {"tied_embeddings": True}
    )[-1]
    assert "output" not in gradients
    assert np.abs(np.subtract(found, wanted)).max() < TOLERANCE
    assert gradient_error(others, gradients) < TOLERANCE


def test_vocabulary_padding_changes_nothing() -> None:
    (wanted, gradients), (found, others) = alone(vocabulary_multiple=8), alone(vocabulary_multiple=512)
    assert np.abs(np.subtract(found, wanted)).max() < TOLERANCE
    assert gradients["output"].shape[0] == 1000
    assert others["output"].shape[0] == 1024
    assert others["output"][1000:].abs().max() == 0


def test_without_document_masks_documents_see_each_other() -> None:
    assert alone(mask="none")[0] != alone()[0]


def test_context_parallelism_without_document_masks_is_causal_too() -> None:
    wanted, gradients = alone(mask="none")
    found, others = run_ranks(_train_with, 2, ParallelConfig(context=2), "none", "none", {})[-1]
    assert np.abs(np.subtract(found, wanted)).max() < TOLERANCE
    assert gradient_error(others, gradients) < TOLERANCE


def _losses_by_base(first: float, bases: list[float]) -> list[float]:
    """Of one engine built with the base `first`, on rows longer than it was built for."""
    with tiny_engine(tiny_config(ParallelConfig(), rope_base=first)) as engine:
        found = []
        for base in bases:
            engine.use_rope_base(base)
            found.append(engine.evaluate(share(engine, global_batch(0, 4 * SEQUENCE)))[0])
    return found


def test_a_rope_base_that_is_changed_is_the_one_that_a_model_is_built_with() -> None:
    changed = run_ranks(_losses_by_base, 1, 1e4, [1e4, 5e5, 1e4])[0]
    (built,) = run_ranks(_losses_by_base, 1, 5e5, [5e5])[0]
    assert changed[1] == built
    assert changed[0] == changed[2] != changed[1]
