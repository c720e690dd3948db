"""Beginning a run with what another one has learnt: its weights, and if wanted the state of its optimizer. Tokens,
steps, ledger and schedules are counted from zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megakor.checkpoint.base import base_checkpoint, verify_base
from megakor.checkpoint.listing import Checkpoint
from megakor.checkpoint.load import load_state
from megakor.checkpoint.manifest import check_model
from megakor.checkpoint.ranks import Ranks
from megakor.config.schema import Config
from megakor.errors import ConfigError, StorageError
from megakor.train.engine import Engine
from megakor.train.state import model_state, restore_model, restore_state, sharded_state


@dataclass(frozen=True)
class Base:
    """What a run began with. It travels in the run's checkpoints, so that the base may go once there is one."""

    written: str
    """`run.base` as it was written."""
    path: str
    """The checkpoint itself."""
    tokens: int
    """That the base had consumed."""
    step: int
    saved_at: str
    """UTC; with tokens and step it tells one checkpoint of a run from another in the same place."""
    optimizer: bool
    """Whether the optimizer's state was taken, too."""

    @property
    def updates(self) -> int:
        """Of the optimizer before the first step of the run, for Adam's bias correction."""
        return self.step if self.optimizer else 0

    @property
    def what(self) -> str:
        """For the report."""
        return "weights and optimizer" if self.optimizer else "weights"


def base_of(config: Config, tokenizer_sha256: str, saved: Mapping[str, Any] | None, ranks: Ranks) -> Base | None:
    """What the run begins with, looked at now, or what it began with, as its checkpoint says. Collective.

    Args:
        saved: state of the run's own checkpoint; None at its first start.

    Raises:
        ConfigError: there is no such checkpoint, it is of another model or tokenizer, or `run.base` of a run that has
            begun was edited.
        StorageError: it is damaged.
    """
    if saved is not None:
        return _remembered(config, saved.get("base"))
    if config.run.base is None:
        return None
    return ranks.first(f"Opening {config.run.base}", lambda: _examine(config, tokenizer_sha256))


def load_base(engine: Engine, base: Base, ranks: Ranks) -> None:
    """Put the base into an engine of any layout. Collective.

    Raises:
        ConfigError, StorageError: it is gone, or another one is in its place.
    """
    checkpoint = ranks.first(f"Opening {base.path}", lambda: _same(base))
    if base.optimizer:
        restore_state(engine, load_state(checkpoint, sharded_state(engine, loading=True), ranks), base.step)
        return
    restore_model(engine, load_state(checkpoint, model_state(engine), ranks))
    engine.optimizer.reload_model_params()  # under BF16 it has copies, which the next step would write back


def _same(base: Base) -> Checkpoint:
    checkpoint = base_checkpoint(Path(base.path))
    manifest = checkpoint.manifest
    if (manifest.tokens, manifest.step, manifest.saved_at) != (base.tokens, base.step, base.saved_at):
        raise StorageError(f"run.base: {base.path} is another checkpoint than the one that the run began with.")
    return checkpoint


def _remembered(config: Config, saved: Mapping[str, Any] | None) -> Base | None:
    base = Base(**saved) if saved is not None else None
    before = (base.written, base.optimizer) if base is not None else (None, False)
    now = (config.run.base, config.run.base_optimizer)
    if before != now:
        began = "random weights" if base is None else f"run.base={base.written}"
        mended = "Leave run.base out" if base is None else f"Set run.base={base.written}"
        if base is not None and base.optimizer != config.run.base_optimizer:
            mended += f" and run.base_optimizer={str(base.optimizer).lower()}"
        raise ConfigError(
            f"The run began with {began}, and what it began with cannot change. {mended}, or choose another run.dir."
        )
    return base


def _examine(config: Config, tokenizer_sha256: str) -> Base:
    written = config.run.base
    assert written is not None, "asked for runs with a base"
    checkpoint = base_checkpoint(Path(written))
    _check_shape(checkpoint, config)
    made_with = checkpoint.json_state().get("tokenizer")
    if made_with is not None and made_with != tokenizer_sha256:
        raise ConfigError(
            f"run.base: {checkpoint.path} was trained with another tokenizer ({made_with[:12]}) than data.tokenizer "
            f"({tokenizer_sha256[:12]}): its embeddings would stand for other text. Set that tokenizer, and shards "
            "made with it, or begin from a model of this one."
        )
    verify_base(checkpoint, config.checkpoint.verify)  # type: ignore[arg-type]
    manifest = checkpoint.manifest
    return Base(
        written, str(checkpoint.path), manifest.tokens, manifest.step, manifest.saved_at, config.run.base_optimizer
    )


def _check_shape(checkpoint: Checkpoint, config: Config) -> None:
    try:
        check_model(str(checkpoint.path), checkpoint.manifest.model, asdict(config.model))
    except ConfigError as error:
        described = "\n".join(str(error).splitlines()[:-1])
        raise ConfigError(
            f"run.base: {described}\nSet these keys as they are in the checkpoint, or begin from another model."
        ) from error
