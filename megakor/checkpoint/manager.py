"""Saving and finding checkpoints of a run: the one object that training holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import megatron.core
import torch
import torch.distributed as dist

import megakor
from megakor.checkpoint.listing import Checkpoint, Verify, checkpoint_name
from megakor.checkpoint.load import load_state
from megakor.checkpoint.manifest import Manifest, check_model
from megakor.checkpoint.newest import Choice, find_at, find_newest, log_passed_over
from megakor.checkpoint.plan import ShardedState, plan_save
from megakor.checkpoint.publish import abandon, complete, prepare, tidy
from megakor.checkpoint.ranks import Ranks
from megakor.checkpoint.writer import Background, Written, stage, write_part
from megakor.errors import MegakorError


@dataclass(frozen=True)
class Policy:
    """What is kept, how it is checked and whether the run waits."""

    keep: int = 2
    """Newest checkpoints to keep; 0 keeps all."""
    keep_every: int | None = None
    """Tokens: the first checkpoint at or after each multiple is kept for ever."""
    verify: Verify = "hashes"
    asynchronous: bool = True


@dataclass
class _Pending:
    """A save that is being written."""

    path: Path
    manifest: Manifest
    """Without its files, which are not known yet."""
    json_state: bytes
    metadata: Any
    background: Background
    agreement: Callable[[], bool] | None = field(default=None)


class CheckpointManager:
    """Saves, finds and loads the checkpoints of one run. Every method is collective: all ranks call it together.

    Args:
        directory: `checkpoints/` of the run.
        policy: retention, verification, asynchronous or not.
        model: description of the model, JSON-able and the same on every rank; a checkpoint with another one is refused.
        layout: degrees of parallelism by name, for whoever looks at the manifest; a checkpoint loads on any.
        process_group: a CPU (gloo) group of all ranks; by default one is made.
        replicas: this rank's data-parallel group, over which equal shards are written in turn; None: no sharing.
        on_saved: called on every rank with each checkpoint as soon as it is whole.
        on_passed_over: called on the first rank with what a resume does not use, and why.
    """

    def __init__(
        self,
        directory: Path,
        policy: Policy,
        *,
        model: Mapping[str, Any],
        layout: Mapping[str, int],
        process_group: dist.ProcessGroup | None = None,
        replicas: dist.ProcessGroup | None = None,
        on_saved: Callable[[Checkpoint], None] = lambda checkpoint: None,
        on_passed_over: Callable[[Path, tuple[str, ...]], None] = log_passed_over,
    ) -> None:
        self.directory = directory
        self.policy = policy
        self._model = model
        self._layout = layout
        self._ranks = Ranks(process_group)
        self._replicas = replicas
        self._on_saved = on_saved
        self._on_passed_over = on_passed_over
        self._pending: _Pending | None = None
        self._validated = False
        self._whole: set[int] = set()
        """Tokens of checkpoints on the line of this run that were saved or verified by this manager."""
        self._damaged: set[Path] = set()
        self._pinned: int | None = None

    def save(
        self,
        step: int,
        tokens: int,
        state: ShardedState,
        json_state: Mapping[str, Any],
        *,
        final: bool = False,
    ) -> None:
        """Begin a checkpoint; it is whole when `on_saved` is told. A save that is still pending is waited for first.

        Returns as soon as the state is copied to host memory (asynchronous) or when the checkpoint is whole.
        A checkpoint at `tokens` that this manager saved or found whole is not written again.

        Args:
            state: shards of model and optimizer, and plain values.
            json_state: everything else (data stream, schedule); the first rank's is stored, exactly, as JSON.
            final: the run ends here; waits until the checkpoint is whole.

        Raises:
            StorageError: on every rank, when the storage refuses on one of them. Earlier checkpoints are untouched.
        """
        self.wait()
        if tokens in self._whole:
            return
        path = self.directory / checkpoint_name(tokens)
        text = json.dumps(json_state, ensure_ascii=False, allow_nan=False).encode()
        plan = plan_save(state, self._ranks, replicas=self._replicas, validate=not self._validated)
        self._validated = True
        self._ranks.first(f"Preparing {path}", lambda: prepare(path))
        self._damaged.discard(path)  # what is written there now is another one
        items = stage(plan.items, copy=self.policy.asynchronous)
        rank, common = self._ranks.rank, plan.common if self._ranks.is_first else None
        manifest = self._manifest(step, tokens, final)
        background = Background(lambda: write_part(path, rank, items, common))
        self._pending = _Pending(path, manifest, text, plan.metadata, background)
        if final or not self.policy.asynchronous:
            self.wait()

    def poll(self) -> None:
        """Between steps: make the pending checkpoint whole if all ranks have written. Does not wait for the disk.

        The ranks' answer is asked for at one call and read at the next, so that all of them act at the same one.
        """
        if self._pending is None:
            return
        if self._pending.agreement is not None and self._pending.agreement():
            self._publish(self._pending)
        else:
            self._pending.agreement = self._ranks.start_agreement(self._pending.background.is_done())

    def wait(self) -> None:
        """Wait until the pending checkpoint, if there is one, is whole. Raises StorageError on every rank."""
        if self._pending is None:
            return
        if self._pending.agreement is not None:
            self._pending.agreement()
        self._publish(self._pending)

    def newest(self) -> Choice | None:
        """The checkpoint to resume from, or None where there is none.

        Raises:
            ConfigError: it is of another model; said before anything of it is read.
            StorageError: all checkpoints are damaged.
        """

        def accept(name: str, manifest: Manifest) -> None:
            check_model(name, manifest.model, self._model)

        choice = find_newest(
            self.directory, self._ranks, verify=self.policy.verify, accept=accept, tell=self._on_passed_over
        )
        if choice is not None:
            self._whole.add(choice.checkpoint.tokens)
            self._damaged.update(choice.skipped)
        return choice

    def load(self, checkpoint: Checkpoint, template: ShardedState) -> dict[str, Any]:
        """Load the shards that `template` describes, from any layout to any layout. See `load_state`.

        The run goes on from here: what was saved beyond is another future, and will be written anew.
        """
        self._whole = {tokens for tokens in self._whole if tokens <= checkpoint.tokens}
        return load_state(checkpoint, template, self._ranks)

    def pin(self, tokens: int) -> None:
        """Keep the checkpoint at these tokens for as long as no other one is pinned."""
        self._pinned = tokens

    def load_pinned(self, template: ShardedState) -> dict[str, Any] | None:
        """What `load` gives, of the pinned checkpoint, without going on from there; None where it is gone or
        damaged."""
        assert self._pinned is not None, "nothing is pinned"
        checkpoint = find_at(self.directory, self._pinned, self._ranks, self.policy.verify)
        return None if checkpoint is None else load_state(checkpoint, template, self._ranks)

    def _manifest(self, step: int, tokens: int, final: bool) -> Manifest:
        return Manifest(
            step=step,
            tokens=tokens,
            final=final,
            model=self._model,
            layout=self._layout,
            versions={
                "megakor": megakor.__version__,
                "torch": str(torch.__version__),
                "megatron-core": megatron.core.__version__,
            },
            saved_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            files=(),
        )

    def _publish(self, pending: _Pending) -> None:
        self._pending = None
        doing = f"Writing checkpoint {pending.path}"
        try:
            written = self._ranks.together(doing, pending.background.result)
            parts = self._ranks.collect(written)
            checkpoint = self._ranks.first(doing, lambda: self._complete(pending, parts or []))
        except MegakorError:
            self._ranks.first("Cleaning up", lambda: abandon(pending.path))
            raise
        self._whole.add(checkpoint.tokens)
        self._on_saved(checkpoint)

    def _complete(self, pending: _Pending, parts: list[Written]) -> Checkpoint:
        checkpoint = complete(pending.path, pending.manifest, parts, pending.metadata, pending.json_state)
        tidy(checkpoint.path, self.policy.keep, self.policy.keep_every, self._damaged, self._pinned)
        return checkpoint
