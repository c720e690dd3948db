"""One room, one job: who may import what."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "megakor"
ROOMS_WITH_MEGATRON_CORE = {"parallel", "model", "train", "checkpoint"}
ROOMS_WITHOUT_TORCH = {"config", "corpus", "data", "curriculum"}
BEFORE = {
    "config": set(),
    "corpus": {"config"},
    "curriculum": {"config"},
    "data": {"config", "corpus", "curriculum"},
    "launch": {"config", "parallel", "checkpoint", "report", "resilience"},
    "parallel": {"config", "launch"},
    "resilience": {"config"},
    "model": {"config", "parallel"},
    "checkpoint": {"config"},
    "report": {"config", "corpus", "curriculum"},
    "doctor": {"config", "launch", "parallel"},
    "laws": {"config", "corpus", "curriculum", "report", "checkpoint", "launch"},
}
"""The rooms whose imports a room may use; `train`, `convert` and the command line may use all."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_never_go_back(path: Path) -> None:
    found = {name.split(".")[1] for name in imported(path) if name.startswith("megakor.") and name.count(".") > 1}
    allowed = BEFORE.get(room(path))
    if allowed is not None:
        assert found - {room(path)} <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_megatron_core_and_torch_stay_in_their_rooms(path: Path) -> None:
    names = {name.split(".")[0] for name in imported(path)}
    if room(path) not in ROOMS_WITH_MEGATRON_CORE:
        assert "megatron" not in names
    if room(path) in ROOMS_WITHOUT_TORCH:
        assert "torch" not in names
