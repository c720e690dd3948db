"""Bases that a run cannot begin with, each refused in words; and what a run remembers of its base."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest

from megakor.checkpoint.base import base_checkpoint
from megakor.checkpoint.files import FileRecord
from megakor.checkpoint.manifest import Manifest, write_manifest
from megakor.checkpoint.ranks import Ranks
from megakor.config.schema import Config, ModelConfig, RunConfig
from megakor.errors import ConfigError, StorageError
from megakor.train.base import Base, base_of


class OneRank:
    """Does what the first rank does."""

    def first(self, doing: str, action: Callable[[], Any]) -> Any:
        return action()


RANKS = cast(Ranks, OneRank())


def checkpoint(run: Path, tokens: int = 1024, model: ModelConfig | None = None, size: int = 1) -> Path:
    path = run / "checkpoints" / f"tokens-{tokens:012d}"
    path.mkdir(parents=True)
    (path / "state.json").write_text(json.dumps({"step": 3, "tokenizer": "aa" * 32}))
    (path / "part").write_bytes(b"x")
    file = FileRecord("part", size, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    write_manifest(
        path, Manifest(3, tokens, True, asdict(model or ModelConfig(vocabulary_size=600)), {}, {}, "now", (file,))
    )
    return path


def config(base: Path | str | None, optimizer: bool = False, model: ModelConfig | None = None) -> Config:
    run = RunConfig(base=None if base is None else str(base), base_optimizer=optimizer)
    return Config(run=run, model=model or ModelConfig(vocabulary_size=600))


def examined(wanted: Config, tokenizer: str = "aa" * 32) -> Base | None:
    return base_of(wanted, tokenizer, None, RANKS)


def test_a_run_directory_stands_for_its_newest_checkpoint_and_a_checkpoint_for_itself(tmp_path: Path) -> None:
    old, new = checkpoint(tmp_path, 1024), checkpoint(tmp_path, 2048)
    assert base_checkpoint(tmp_path).path == new
    found = examined(config(old))
    assert found is not None and (found.path, found.tokens, found.step, found.updates) == (str(old), 1024, 3, 0)
    with_optimizer = examined(config(tmp_path, optimizer=True))
    assert with_optimizer is not None and (with_optimizer.path, with_optimizer.updates) == (str(new), 3)


def test_no_base_is_no_base() -> None:
    assert examined(config(None)) is None


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_base_that_is_not_there_is_told(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.base: .* Name a "):
        examined(config(tmp_path / place))


def test_another_model_is_told_key_by_key(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    with pytest.raises(ConfigError, match=r"layers: 4 in the checkpoint, 6 in the conf[^$]*begin from another model"):
        examined(config(tmp_path, model=ModelConfig(vocabulary_size=600, layers=6)))
    assert examined(config(tmp_path, model=ModelConfig(vocabulary_size=600, rope_base=5e5))) is not None


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="another tokenizer"):
        examined(config(tmp_path), tokenizer="bb" * 32)


def test_a_damaged_base_is_never_replaced_by_an_older_one(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1024)
    checkpoint(tmp_path, 2048, size=2)
    with pytest.raises(StorageError, match="tokens-000000002048 is damaged"):
        examined(config(tmp_path))


def test_what_a_run_began_with_is_remembered_and_cannot_be_edited(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    base = examined(config(tmp_path, optimizer=True))
    assert base is not None
    saved = {"base": json.loads(json.dumps(asdict(base)))}
    (tmp_path / "checkpoints").rename(tmp_path / "gone")
    assert base_of(config(tmp_path, optimizer=True), "aa" * 32, saved, RANKS) == base
    with pytest.raises(ConfigError, match=f"Set run.base={tmp_path} and run.base_optimizer=true"):
        base_of(config(tmp_path), "aa" * 32, saved, RANKS)
    with pytest.raises(ConfigError, match=r"random weights.* Leave run\.base out"):
        base_of(config(tmp_path), "aa" * 32, {"step": 3}, RANKS)
