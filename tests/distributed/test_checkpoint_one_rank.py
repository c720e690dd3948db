"""Saving and loading on one rank: exactness, the promises about storage, and refusal of foreign code."""

import os
import pickle
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_ranks import manager, one_rank, sharded_state
from megatron.core import dist_checkpointing
from megatron.core.dist_checkpointing.mapping import ShardedObject, ShardedTensor

from megakor.checkpoint.files import FileRecord
from megakor.checkpoint.listing import Checkpoint, list_checkpoints, open_checkpoint
from megakor.checkpoint.manifest import Manifest, write_manifest
from megakor.errors import ConfigError, StorageError
from megakor.storage import hash_file


@pytest.fixture(autouse=True, scope="module")
def _one_rank() -> Iterator[None]:
    with one_rank():
        yield


def save(directory: Path, tokens: int = 100, seed: int = 0, **options: Any) -> Checkpoint:
    saved: list[Checkpoint] = []
    store = manager(directory, on_saved=saved.append, **{"keep": 0, **options})
    store.save(tokens // 10, tokens, sharded_state(seed=seed), {"seed": seed}, final=True)
    return saved[0]


def load(directory: Path, **options: Any) -> dict[str, Any]:
    store = manager(directory, **options)
    choice = store.newest()
    assert choice is not None
    return store.load(choice.checkpoint, sharded_state(seed=99))


def assert_is_state(loaded: dict[str, Any], seed: int = 0) -> None:
    wanted = sharded_state(seed=seed)
    for key, value in wanted["model"].items():
        if isinstance(value, ShardedTensor):
            assert torch.equal(loaded["model"][key], value.data), key
    assert loaded["optimizer"]["param_groups"] == wanted["optimizer"]["param_groups"]
    assert loaded["optimizer"]["common_step"] == 3.0
    assert loaded["counters"] == {"updates": seed}


def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path: Path) -> None:
    checkpoint = save(tmp_path)
    assert checkpoint.path.name == "tokens-000000000100"
    assert_is_state(load(tmp_path))


def test_the_json_state_is_exact(tmp_path: Path) -> None:
    state = {"position": 2**70, "carry": 0.1 + 0.2, "이름": ["한국어", None, True]}
    manager(tmp_path).save(1, 100, sharded_state(), state, final=True)
    assert open_checkpoint(tmp_path / "tokens-000000000100").json_state() == state


def test_megatron_core_itself_can_read_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = save(tmp_path)
    template = sharded_state(seed=99)
    del template["model"]["norm._extra_state"]
    assert_is_state(dist_checkpointing.load(template, str(checkpoint.path)))


def test_a_background_save_holds_the_state_of_the_moment_it_was_asked_for(tmp_path: Path) -> None:
    for asynchronous in (True, False):
        store = manager(tmp_path / str(asynchronous), asynchronous=asynchronous)
        state = sharded_state()
        store.save(1, 100, state, {})
        for value in state["model"].values():
            if isinstance(value, ShardedTensor):
                value.data.zero_()
        store.wait()
    part = "tokens-000000000100/__0_0.distcp"
    assert (tmp_path / "True" / part).read_bytes() == (tmp_path / "False" / part).read_bytes()
    assert_is_state(load(tmp_path / "True"))


def test_a_part_of_a_larger_tensor_is_saved_without_the_rest(tmp_path: Path) -> None:
    large = torch.zeros(1_000_000)
    manager(tmp_path, asynchronous=False).save(
        1, 100, {"part": ShardedTensor.from_rank_offsets("part", large[:10])}, {}, final=True
    )
    assert (tmp_path / "tokens-000000000100/__0_0.distcp").stat().st_size < 10_000


def test_poll_makes_a_checkpoint_whole_and_says_so_once(tmp_path: Path) -> None:
    saved: list[str] = []
    store = manager(tmp_path, on_saved=lambda checkpoint: saved.append(checkpoint.name))
    store.save(1, 100, sharded_state(), {})
    for _ in range(100_000):
        store.poll()
        if saved:
            break
    store.wait()
    assert saved == ["tokens-000000000100"]


def test_a_second_save_at_the_same_tokens_is_not_written_again(tmp_path: Path) -> None:
    save(tmp_path)
    store = manager(tmp_path)
    assert store.newest() is not None
    before = (tmp_path / "tokens-000000000100/manifest.json").stat().st_ino
    store.save(10, 100, sharded_state(seed=5), {}, final=True)
    assert (tmp_path / "tokens-000000000100/manifest.json").stat().st_ino == before


def test_old_checkpoints_go_and_milestones_stay(tmp_path: Path) -> None:
    store = manager(tmp_path, keep=2, keep_every=300)
    for tokens in range(100, 1_100, 100):
        store.save(tokens // 100, tokens, sharded_state(), {})
    store.wait()
    assert [checkpoint.tokens for checkpoint in list_checkpoints(tmp_path)] == [300, 600, 900, 1000]


def test_a_future_that_was_left_is_not_resumed_but_not_deleted_either(tmp_path: Path) -> None:
    for tokens in (100, 300):
        save(tmp_path, tokens)
    save(tmp_path, 200, seed=2)
    choice = manager(tmp_path).newest()
    assert choice is not None
    assert choice.checkpoint.tokens == 200
    assert (tmp_path / "tokens-000000000300/manifest.set-aside.json").is_file()


def test_after_a_roll_back_the_same_tokens_are_saved_anew(tmp_path: Path) -> None:
    store = manager(tmp_path, keep=0)
    store.save(1, 100, sharded_state(seed=1), {}, final=True)
    store.save(2, 200, sharded_state(seed=2), {}, final=True)
    store.load(open_checkpoint(tmp_path / "tokens-000000000100"), sharded_state())
    store.save(2, 200, sharded_state(seed=3), {}, final=True)
    assert_is_state(load(tmp_path), seed=3)


def test_an_unfinished_directory_is_no_checkpoint_and_goes_at_the_next_save(tmp_path: Path) -> None:
    save(tmp_path, 100)
    save(tmp_path, 200)
    (tmp_path / "tokens-000000000100/manifest.json").unlink()
    (tmp_path / "tokens-notes").mkdir()
    assert [checkpoint.tokens for checkpoint in list_checkpoints(tmp_path)] == [200]
    save(tmp_path, 300)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tokens-000000000200",
        "tokens-000000000300",
        "tokens-notes",
    ]


def test_where_there_is_no_checkpoint_nothing_is_found(tmp_path: Path) -> None:
    assert manager(tmp_path / "not there").newest() is None
    assert manager(tmp_path).newest() is None


@pytest.mark.parametrize("verify", ["hashes", "sizes"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, verify: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 100, seed=1)
    save(tmp_path, 200, seed=2)
    part = tmp_path / "tokens-000000000200/__0_0.distcp"
    part.write_bytes(part.read_bytes()[:-1])
    store = manager(tmp_path, verify=verify)
    choice = store.newest()
    assert choice is not None
    assert choice.checkpoint.tokens == 100
    assert "__0_0.distcp" in choice.skipped[part.parent][0]
    assert "__0_0.distcp" in caplog.text
    assert_is_state(store.load(choice.checkpoint, sharded_state(seed=99)), seed=1)


def test_a_damaged_checkpoint_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    save(tmp_path, 100)
    save(tmp_path, 200)
    (tmp_path / "tokens-000000000200/__0_0.distcp").unlink()
    store = manager(tmp_path, keep=2)
    assert store.newest() is not None
    store.save(30, 300, sharded_state(), {}, final=True)
    assert [checkpoint.tokens for checkpoint in list_checkpoints(tmp_path)] == [100, 300]


def test_what_is_written_anew_in_the_place_of_a_damaged_one_counts_again(tmp_path: Path) -> None:
    for tokens in (100, 200, 300):
        save(tmp_path, tokens)
    (tmp_path / "tokens-000000000200/__0_0.distcp").unlink()
    (tmp_path / "tokens-000000000300/__0_0.distcp").unlink()
    store = manager(tmp_path, keep=0)
    choice = store.newest()
    assert choice is not None
    store.load(choice.checkpoint, sharded_state())
    for tokens in (200, 300, 400):
        store.save(tokens // 10, tokens, sharded_state(), {}, final=True)
    assert [checkpoint.tokens for checkpoint in list_checkpoints(tmp_path)] == [100, 200, 300, 400]


def test_what_was_left_unfinished_is_told_and_so_is_what_may_have_been_taken_for_a_checkpoint(tmp_path: Path) -> None:
    told: dict[str, str] = {}
    save(tmp_path, 100)
    save(tmp_path, 200)
    (tmp_path / "tokens-000000000200/manifest.json").unlink()
    (tmp_path / "iter_0000005").mkdir()
    store = manager(tmp_path, on_passed_over=lambda path, why: told.update({path.name: why[0]}))
    assert store.newest() is not None
    assert list(told) == ["tokens-000000000200"] and "was left unfinished" in told["tokens-000000000200"]
    (tmp_path / "tokens-000000000100/manifest.json").unlink()
    assert store.newest() is None
    assert "is no checkpoint of MegaKor, and is left alone" in told["iter_0000005"]


def test_somebodys_files_stay_when_a_checkpoint_goes_and_when_it_is_written_anew(tmp_path: Path) -> None:
    store = manager(tmp_path, keep=1)
    store.save(1, 100, sharded_state(seed=1), {}, final=True)
    (tmp_path / "tokens-000000000100/notes.txt").write_text("mine")
    store.save(2, 200, sharded_state(seed=2), {}, final=True)
    assert [path.name for path in (tmp_path / "tokens-000000000100").iterdir()] == ["notes.txt"]
    manager(tmp_path, keep=0).save(1, 100, sharded_state(seed=3), {}, final=True)
    assert_is_state(load(tmp_path), seed=3)
    assert (tmp_path / "tokens-000000000100/notes.txt").read_text() == "mine"


def test_a_link_in_the_place_of_a_checkpoint_is_not_written_through(tmp_path: Path) -> None:
    elsewhere = save(tmp_path / "elsewhere").path
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / elsewhere.name).symlink_to(elsewhere)
    with pytest.raises(StorageError, match="is a link"):
        manager(tmp_path / "run").save(1, 100, sharded_state(seed=5), {}, final=True)
    assert_is_state(load(tmp_path / "elsewhere"))


def test_when_every_checkpoint_is_damaged_the_run_does_not_start_over(tmp_path: Path) -> None:
    save(tmp_path, 100)
    (tmp_path / "tokens-000000000100/state.json").unlink()
    with pytest.raises(StorageError, match=r"every checkpoint is damaged.*\n.*state\.json: is missing"):
        manager(tmp_path).newest()


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path)
    with pytest.raises(ConfigError) as refusal:
        manager(tmp_path, model={"hidden_size": 8, "layers": 2, "qk_norm": True, "rope_base": 1e4}).newest()
    assert "tokens-000000000100" in str(refusal.value)
    assert "hidden_size: 6 in the checkpoint, 8 in the configuration" in str(refusal.value)
    assert "qk_norm" in str(refusal.value)
    assert "rope_base" not in str(refusal.value), "it has no weights and may change"
    assert "layers" not in str(refusal.value)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that is full: no file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("size", [1, 900, 4_000])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_that_looks_like_one(
    tmp_path: Path, size: int, asynchronous: bool
) -> None:
    save(tmp_path, 100)
    store = manager(tmp_path, asynchronous=asynchronous)
    with pytest.raises(StorageError, match=r"tokens-000000000200.*File too large"), largest_file(size):
        store.save(2, 200, sharded_state(), {})
        store.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["tokens-000000000100"]
    assert_is_state(load(tmp_path))
    store.save(3, 300, sharded_state(seed=3), {}, final=True)
    assert_is_state(load(tmp_path), seed=3)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user to have a directory it may not write to")
def test_a_directory_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    store = manager(tmp_path)
    os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match=f"Permission denied.*{tmp_path}"):
            store.save(1, 100, sharded_state(), {}, final=True)
    finally:
        os.seteuid(0)


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("not a directory")
    with pytest.raises(StorageError, match="checkpoints"):
        manager(tmp_path / "checkpoints").save(1, 100, sharded_state(), {}, final=True)


def test_a_state_that_could_not_be_read_again_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    state = {**sharded_state(), "function": print}
    with pytest.raises(StorageError, match="the unsharded part of the state: holds more than tensors and plain values"):
        manager(tmp_path).save(1, 100, state, {}, final=True)
    assert list_checkpoints(tmp_path) == []


class Bomb:
    """An object whose pickle writes a file when it is loaded by an unpickler that does what it is told."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def forge(checkpoint: Checkpoint, name: str, data: bytes) -> None:
    """Replace a file and make the manifest agree, as whoever can write to the directory could."""
    path = checkpoint.path / name
    path.write_bytes(data)
    record = FileRecord(name, len(data), hash_file(path))
    files = tuple(record if file.name == name else file for file in checkpoint.manifest.files)
    write_manifest(checkpoint.path, Manifest(**{**vars(checkpoint.manifest), "files": files}))


def torch_pickle(value: Any, path: Path) -> bytes:
    torch.save(value, path)
    return path.read_bytes()


@pytest.mark.parametrize("name", [".metadata", "common.pt"])
def test_code_in_a_forged_file_is_not_run(tmp_path: Path, name: str) -> None:
    checkpoint = save(tmp_path)
    mark = tmp_path / "was-run"
    data = pickle.dumps(Bomb(mark)) if name == ".metadata" else torch_pickle({"x": Bomb(mark)}, tmp_path / "bomb")
    forge(checkpoint, name, data)
    with pytest.raises(StorageError, match=name):
        load(tmp_path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the bomb has to work, or this test shows nothing"


def test_code_in_a_forged_object_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "was-run"
    # Whoever forges has none of our scruples when saving.
    monkeypatch.setattr("megakor.checkpoint.plan._refuse_what_cannot_be_read_again", lambda items, common: None)
    bomb = {**sharded_state(), "counters": ShardedObject("counters", Bomb(mark), (1,), (0,))}
    manager(tmp_path).save(1, 100, bomb, {}, final=True)
    with pytest.raises(StorageError, match=r"counters.*holds more than tensors and plain values"):
        load(tmp_path)
    assert not mark.exists()


def test_what_modules_pickle_for_themselves_is_neither_saved_nor_handed_back(tmp_path: Path) -> None:
    checkpoint = save(tmp_path)
    assert load(tmp_path)["model"]["norm._extra_state"] is None
    assert b"pickled by the module" not in b"".join(path.read_bytes() for path in checkpoint.path.iterdir())
