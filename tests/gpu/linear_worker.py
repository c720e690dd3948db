"""Relative errors of Transformer Engine's linear layer against torch, for the gradients of its input and weight."""

from __future__ import annotations

import json
import sys

import torch
import transformer_engine.pytorch as te


def main() -> None:
    torch.manual_seed(0)
    theirs = te.Linear(256, 512, bias=False, params_dtype=torch.bfloat16)
    x = torch.randn(128, 256, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    grad = torch.randn(128, 512, device="cuda", dtype=torch.bfloat16)
    with te.fp8_autocast(enabled=sys.argv[1] == "fp8"):
        y = theirs(x)
    y.backward(grad)
    assert x.grad is not None
    weight, activations = theirs.weight.detach().float(), x.detach().float()
    found = {"output": y, "grad_input": x.grad, "grad_weight": theirs.weight.grad}
    wanted = {
        "output": activations @ weight.T,
        "grad_input": grad.float() @ weight,
        "grad_weight": grad.float().T @ activations,
    }
    errors = {name: ((found[name].float() - other).norm() / other.norm()).item() for name, other in wanted.items()}
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
