"""`megakor doctor` tells NVIDIA's apex from the package of the same name on the public index."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from megakor.doctor import machine


@pytest.fixture
def apex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `apex` that cannot be imported, first on the path."""
    package = tmp_path / "apex"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('a dependency is too new')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "apex", raising=False)
    importlib.invalidate_caches()
    return package


def test_the_web_toolkit_is_recognised_without_importing_it(apex: Path) -> None:
    [finding] = machine._apex()
    assert finding.fatal
    assert "pip uninstall apex" in finding.advice


def test_a_package_with_optimizers_is_nvidias(apex: Path) -> None:
    (apex / "optimizers").mkdir()
    [finding] = machine._apex()
    assert (finding.state, finding.fatal) == ("NVIDIA's", False)
