"""A launched run keeps its code and its config."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from config_base import write

from megakor.config.load import load_config
from megakor.launch.snapshot import next_snapshot, take_snapshot


def test_what_is_edited_after_the_launch_does_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(write(tmp_path), ["run.dir=runs/a run", "run.seed=3"])
    snapshot = next_snapshot(Path(config.run.dir))
    take_snapshot(snapshot, config)
    copied = load_config(snapshot.config)
    assert copied.run.dir == str(tmp_path / "runs/a run")
    assert copied.run.seed == 3
    assert copied.data == config.data

    (snapshot.code / "megakor/__init__.py").write_text('__version__ = "of the copy"\n')
    python, start, *_ = snapshot.command()
    version = subprocess.run([python, start, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == "megakor of the copy\n", "wherever it is called, and whatever PYTHONPATH says"


def test_every_launch_has_a_copy_of_its_own(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), [f"run.dir={tmp_path / 'run'}"])
    first = next_snapshot(tmp_path / "run")
    assert first == next_snapshot(tmp_path / "run")
    take_snapshot(first, config)
    assert next_snapshot(tmp_path / "run").directory.name == "0002"
