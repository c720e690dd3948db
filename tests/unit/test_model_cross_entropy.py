"""Cross entropy of a padded vocabulary against torch's, on one tensor-parallel rank (the parity tests split it).

Both forms, that of a CPU and that of a GPU; the latter is compiled in tests/gpu.
"""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.model import cross_entropy
from megakor.model.cross_entropy import CPU_BLOCK, vocabulary_parallel_cross_entropy
from megakor.model.cross_entropy_gpu import GpuCrossEntropy

PADDED = 24


@pytest.fixture(autouse=True, params=["cpu", "gpu"], scope="module")
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "gpu":
            patch.setattr(cross_entropy, "_CrossEntropy", GpuCrossEntropy)
        yield request.param


class _Alone:
    def size(self) -> int:
        return 1


def _loss(logits: torch.Tensor, labels: torch.Tensor, real_ids: int, first_id: int = 0) -> torch.Tensor:
    return vocabulary_parallel_cross_entropy(logits, labels, first_id, real_ids, _Alone())  # type: ignore[arg-type]


def _data(length: int, real_ids: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(length + real_ids)
    logits = torch.randn(length, 2, PADDED, generator=generator, dtype=dtype) * 4
    return logits.requires_grad_(), torch.randint(0, real_ids, (length, 2), generator=generator)


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, CPU_BLOCK + 3), real_ids=st.integers(1, PADDED))
def test_loss_and_gradient_equal_those_of_torch_on_the_real_ids(length: int, real_ids: int) -> None:
    logits, labels = _data(length, real_ids)
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1))
    reference = logits.detach().clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        reference[..., :real_ids].flatten(0, 1), labels.flatten(), reduction="none"
    )
    loss = _loss(logits, labels, real_ids)
    torch.testing.assert_close(loss.flatten(), expected, rtol=1e-6, atol=1e-6)
    (loss * weights).sum().backward()
    (expected * weights.flatten()).sum().backward()
    # At a label with probability near 1 the gradient is a difference of two numbers near 1: a few of their last bits.
    torch.testing.assert_close(logits.grad, reference.grad, rtol=1e-5, atol=5e-7)


def test_gradient_is_the_derivative() -> None:
    logits, labels = _data(5, 20, torch.float64)
    weights = torch.rand(labels.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (_loss(logits, labels, 20) * weights).sum().backward()
    step = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 1e-6
    with torch.no_grad():
        change = (_loss(logits + step, labels, 20) - _loss(logits - step, labels, 20)) * weights / 2
    torch.testing.assert_close((logits.grad * step).sum(), change.sum(), rtol=1e-6, atol=0.0)


def test_padding_ids_change_nothing_and_get_no_gradient() -> None:
    logits, labels = _data(4, 20)
    with torch.no_grad():
        logits[..., 20:] = 1e4
    _loss(logits, labels, 20).sum().backward()
    assert torch.equal(logits.grad[..., 20:], torch.zeros(4, 2, PADDED - 20))
    assert torch.isfinite(logits.grad).all()


def test_logits_far_apart_stay_finite() -> None:
    logits = torch.tensor([[[0.0, 500.0]]], requires_grad=True)
    loss = _loss(logits, torch.tensor([[0]]), 2)
    loss.sum().backward()
    assert loss.item() == 500.0
    torch.testing.assert_close(logits.grad, torch.tensor([[[-1.0, 1.0]]]))


def test_bf16_logits_have_a_float32_loss_and_a_gradient_rounded_once() -> None:
    logits, labels = _data(6, PADDED)
    narrow = logits.detach().bfloat16().requires_grad_()
    wide = narrow.detach().float().requires_grad_()
    loss, expected = _loss(narrow, labels, PADDED), _loss(wide, labels, PADDED)
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    assert torch.equal(narrow.grad, wide.grad.bfloat16())


def test_the_gradient_of_the_form_that_is_made_in_place_can_be_asked_for_once_only(form: str) -> None:
    if form == "gpu":
        pytest.skip("it keeps the logits")
    logits, labels = _data(2, PADDED)
    loss = _loss(logits, labels, PADDED).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        loss.backward()
