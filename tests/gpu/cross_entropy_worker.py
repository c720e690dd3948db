"""The compiled cross entropy against float64 arithmetic on the CPU, for BF16 logits of a padded vocabulary."""

from __future__ import annotations

import json

import torch

from megakor.model.cross_entropy import vocabulary_parallel_cross_entropy

ROWS, REAL, PADDED = 300, 1000, 1024


class _Alone:
    def size(self) -> int:
        return 1


def main() -> None:
    torch.manual_seed(0)
    logits_SBV = (torch.randn(ROWS, 2, PADDED) * 4).bfloat16()
    labels_SB = torch.randint(0, REAL, (ROWS, 2))
    logits_SBV[: ROWS // 2].scatter_(2, labels_SB[: ROWS // 2, :, None], 20.0)  # half of the labels are almost sure
    weights_SB = torch.rand(ROWS, 2)
    ours = logits_SBV.cuda().requires_grad_()
    loss_SB = vocabulary_parallel_cross_entropy(ours, labels_SB.cuda(), 0, REAL, _Alone())  # type: ignore[arg-type]
    (loss_SB * weights_SB.cuda()).sum().backward()
    exact = logits_SBV.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(exact[..., :REAL].flatten(0, 1), labels_SB.flatten(), reduction="none")
    (expected * weights_SB.flatten()).sum().backward()
    assert ours.grad is not None and exact.grad is not None
    error = (ours.grad.cpu().double() - exact.grad).abs()
    at_label = labels_SB[..., None]
    print(
        json.dumps(
            {
                "loss": (loss_SB.cpu().double().flatten() - expected).abs().max().item(),
                "gradient": (error.norm() / exact.grad.norm()).item(),
                "at_label": (error.gather(2, at_label) / exact.grad.abs().gather(2, at_label)).max().item(),
                "padding": ours.grad[..., REAL:].abs().max().item(),
            }
        )
    )


if __name__ == "__main__":
    main()
