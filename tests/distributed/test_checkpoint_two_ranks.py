"""Two ranks on gloo: resharding, agreement, failures that one rank meets alone, and kills."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from checkpoint_ranks import MODEL, manager, one_rank, run_ranks, sharded_state
from megatron.core.dist_checkpointing.mapping import ShardedTensor

from megakor import storage as storage_module
from megakor.checkpoint import listing, writer
from megakor.checkpoint import manager as manager_module
from megakor.checkpoint import retention as retention_module
from megakor.checkpoint.listing import list_checkpoints, open_checkpoint
from megakor.checkpoint.manager import CheckpointManager, Policy
from megakor.errors import StorageError


def tensors(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    values = {key: getattr(value, "data", value) for key, value in state["model"].items()}
    return {key: value for key, value in values.items() if isinstance(value, torch.Tensor)}


def assert_loads(directory: Path, rank: int, size: int, seed: int) -> None:
    store = manager(directory)
    choice = store.newest()
    assert choice is not None
    loaded = tensors(store.load(choice.checkpoint, sharded_state(rank, size, seed=99)))
    wanted = tensors(sharded_state(rank, size, seed))
    assert loaded.keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.equal(loaded[key], value), key


def save_and_check(rank: int, size: int, folder: Path) -> None:
    # What one rank saved loads on two, and what two save loads on two (and on one, in the parent).
    assert_loads(folder / "from one", rank, size, seed=1)
    store = manager(folder / "from two")
    store.save(1, 100, sharded_state(rank, size, seed=2), {}, final=True)
    assert_loads(folder / "from two", rank, size, seed=2)
    acts_at_the_same_poll(rank, size, folder)
    a_failure_of_one_is_raised_on_all(rank, size, folder)
    replicas_share_the_writing(rank, size, folder)
    damage_is_found_together(rank, size, folder)


def acts_at_the_same_poll(rank: int, size: int, folder: Path) -> None:
    """The second rank's disk is slow; nobody goes ahead, and nobody waits inside a poll."""
    saved: list[str] = []
    write_part = writer.write_part

    def slow(*arguments: Any) -> writer.Written:
        time.sleep(0.2 * rank)
        return write_part(*arguments)

    manager_module.write_part = slow
    store = manager(folder / "polled", on_saved=lambda checkpoint: saved.append(checkpoint.name))
    store.save(1, 100, sharded_state(rank, size), {})
    polls = 0
    while not saved:
        store.poll()
        polls += 1
        time.sleep(0.01)
    manager_module.write_part = write_part
    counts: list[int] = [0] * size
    dist.all_gather_object(counts, polls)
    assert len(set(counts)) == 1, counts
    assert polls > 2


def a_failure_of_one_is_raised_on_all(rank: int, size: int, folder: Path) -> None:
    directory = folder / "polled"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = manager(directory)
    if rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    with pytest.raises(StorageError, match=r"File too large.*__1_0\.distcp|tokens-000000000200.*File too large"):
        store.save(2, 200, sharded_state(rank, size), {})
        store.wait()
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in directory.iterdir()] == ["tokens-000000000100"]


def replicas_share_the_writing(rank: int, size: int, folder: Path) -> None:
    """Two equal copies of four tensors: with the replicas known, each rank writes two of them."""
    state = {
        str(index): ShardedTensor.from_rank_offsets(str(index), torch.ones(1000), replica_id=rank) for index in range(4)
    }
    store = CheckpointManager(
        folder / "shared", Policy(), model=MODEL, layout={"data": size}, replicas=dist.new_group(backend="gloo")
    )
    store.save(1, 100, state, {}, final=True)
    sizes = {file.name: file.bytes for file in open_checkpoint(folder / "shared/tokens-000000000100").manifest.files}
    assert sizes["__0_0.distcp"] == sizes["__1_0.distcp"] > 8_000


def damage_is_found_together(rank: int, size: int, folder: Path) -> None:
    """Files are hashed once in all, and both ranks fall back to the same checkpoint for the same reason."""
    directory = folder / "damaged"
    store = manager(directory)
    for tokens in (100, 200):
        store.save(1, tokens, sharded_state(rank, size), {})
    store.wait()
    if rank == 0:
        part = directory / "tokens-000000000200/__1_0.distcp"
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    dist.barrier()
    hashed: list[str] = []
    hash_file = listing.hash_file
    listing.hash_file = lambda path: hashed.append(f"{path.parent.name}/{path.name}") or hash_file(path)
    choice = manager(directory).newest()
    listing.hash_file = hash_file
    assert choice is not None
    assert choice.checkpoint.tokens == 100
    assert "__1_0.distcp: its content has changed" in choice.skipped[directory / "tokens-000000000200"][0]
    everyone: list[list[str]] = [[] for _ in range(size)]
    dist.all_gather_object(everyone, hashed)
    together = sorted(name for names in everyone for name in names)
    assert together == sorted(
        f"{checkpoint.name}/{file.name}"
        for checkpoint in list_checkpoints(directory)
        for file in checkpoint.manifest.files
    )


def test_two_ranks_save_load_reshard_agree_and_fail_together(tmp_path: Path) -> None:
    with one_rank():
        manager(tmp_path / "from one").save(1, 100, sharded_state(seed=1), {}, final=True)
    run_ranks(save_and_check, 2, tmp_path)
    with one_rank():
        assert_loads(tmp_path / "from two", 0, 1, seed=2)


def die(*arguments: Any, **named: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_while_writing(directory: Path) -> None:
    original = writer.write_part

    def half(*arguments: Any) -> Any:
        original(*arguments)
        part = directory / "tokens-000000000300/__0_0.distcp"
        part.write_bytes(part.read_bytes()[:100])
        die()

    manager_module.write_part = half


def kill_before_the_manifest(directory: Path) -> None:
    import megakor.checkpoint.publish as publish

    publish.write_manifest = die


def kill_before_the_manifest_has_its_name(directory: Path) -> None:
    original = storage_module.publish

    def half(temporary: Path, final: Path) -> None:
        die() if "300" in str(final) else original(temporary, final)

    storage_module.publish = half


def kill_while_deleting(directory: Path) -> None:
    retention_module.discard = lambda path: die() if "100" in str(path) else []


KILLS: dict[Callable[[Path], None], list[int]] = {
    kill_while_writing: [100, 200],
    kill_before_the_manifest: [100, 200],
    kill_before_the_manifest_has_its_name: [100, 200],
    kill_while_deleting: [200, 300],
}


def save_and_be_killed(rank: int, size: int, directory: Path, prepare: Callable[[Path], None]) -> None:
    store = manager(directory)
    store.save(1, 100, sharded_state(), {}, final=True)
    store.save(2, 200, sharded_state(), {}, final=True)
    prepare(directory)
    store.save(3, 300, sharded_state(), {}, final=True)


@pytest.mark.parametrize("kill", KILLS)
def test_a_kill_at_any_point_leaves_whole_checkpoints_only(tmp_path: Path, kill: Callable[[Path], None]) -> None:
    with pytest.raises(AssertionError, match="-9"):
        run_ranks(save_and_be_killed, 1, tmp_path, kill)
    assert [checkpoint.tokens for checkpoint in list_checkpoints(tmp_path)] == KILLS[kill]
    with one_rank():
        assert_loads(tmp_path, 0, 1, seed=0)
        manager(tmp_path).save(4, 400, sharded_state(), {}, final=True)
    assert [path.name for path in sorted(tmp_path.iterdir())][-1] == "tokens-000000000400"
    assert len(list(tmp_path.iterdir())) <= 3
