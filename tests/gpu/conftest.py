"""GPU tests are skipped, with the reason, where there is no GPU or no Transformer Engine."""

import importlib.machinery
import sys
from pathlib import Path

import pytest
import torch

for other in ("distributed", "e2e"):
    sys.path.insert(0, str(Path(__file__).parent.parent / other))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> str:
    if not torch.cuda.is_available():
        return "torch finds no CUDA device: the GPU path is built but not run here"
    if importlib.machinery.PathFinder.find_spec("transformer_engine") is None:
        return "Transformer Engine is not installed (pip install 'megakor[gpu]')"
    return ""
