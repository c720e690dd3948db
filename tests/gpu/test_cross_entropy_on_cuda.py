"""The cross entropy that torch.compile makes kernels of is exact to a rounding of its BF16 gradient."""

from running import answer_of

HALF_A_BF16_STEP = 2**-8


def test_loss_and_gradient_are_those_of_float64() -> None:
    errors = answer_of("cross_entropy_worker.py")
    assert errors["loss"] < 1e-5, errors
    assert 0.0 < errors["gradient"] < HALF_A_BF16_STEP, errors
    assert errors["at_label"] < 2 * HALF_A_BF16_STEP, errors
    assert errors["padding"] == 0.0, errors
