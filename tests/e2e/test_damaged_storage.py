"""Runs that find damaged, half-written or foreign checkpoints, a full disk or one that may only be read: they say what
they found, and go on from the newest whole checkpoint as if nothing had happened."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_runs import BATCH, PATIENCE, STEPS, World, checkpoint_path, kill_group, wait_until
from small_disk import FailingDisk, small_disk

from megakor.checkpoint.listing import list_checkpoints, verify_checkpoint
from megakor.cli import main
from megakor.data.audit import audit
from megakor.errors import ExitCode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def calm(world: World) -> str:
    """A run that nothing has happened to, with a checkpoint every two steps."""
    world.pretrain("calm")
    return "calm"


def largest(path: Path) -> Path:
    return max(path.glob("*.distcp"), key=lambda file: file.stat().st_size)


def flip_a_bit(path: Path) -> None:
    content = bytearray(largest(path).read_bytes())
    content[len(content) // 2] ^= 1
    largest(path).write_bytes(content)


def cut_short(path: Path) -> None:
    largest(path).write_bytes(largest(path).read_bytes()[:-1])


def lose_the_table(path: Path) -> None:
    (path / ".metadata").unlink()


def damage_the_manifest(path: Path) -> None:
    (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:-20])


def leave_half(path: Path) -> None:
    """As a kill in the middle of a save leaves it."""
    (path / "manifest.json").unlink()
    cut_short(path)
    (path / "state.json").unlink()


BEFALLEN: dict[int, tuple[Callable[[Path], None], str]] = {
    12: (leave_half, "was left unfinished"),
    10: (flip_a_bit, "content has changed"),
    8: (cut_short, "bytes, the manifest says"),
    6: (lose_the_table, ".metadata: is missing"),
    4: (damage_the_manifest, "cannot be read as JSON"),
}
"""Step of a checkpoint -> what happens to it, and the words for that. The one of step 2 stays whole."""


def test_a_resume_tells_every_damage_and_ends_as_if_nothing_had_happened(world: World, calm: str) -> None:
    world.copy_run(calm, "befallen", STEPS)
    run = world.run_dir("befallen")
    (run / "checkpoints" / "iter_0000005").mkdir()
    for step, (befall, _) in BEFALLEN.items():
        befall(checkpoint_path(run, step))
    ended = world.pretrain("befallen")

    told = [line for line in ended.out.splitlines() if line.startswith("checkpoint passed over")]
    assert len(told) == len(BEFALLEN)
    for step, (_, words) in BEFALLEN.items():
        assert any(f"tokens-{step * BATCH:012d}" in line and words in line for line in told), words
    events = [line["path"] for line in world.lines("befallen", "event") if line["name"] == "checkpoint_passed_over"]
    assert len(events) == len(BEFALLEN)
    assert f"resuming at {2 * BATCH:,} tokens" in " ".join(ended.out.split())

    assert world.losses("befallen") == world.losses(calm)
    assert world.validation("befallen") == world.validation(calm)
    assert audit(run / "ledger.jsonl", STEPS * BATCH) == []
    assert contents(run) == contents(world.run_dir(calm))
    whole = [checkpoint.tokens // BATCH for checkpoint in list_checkpoints(run / "checkpoints")]
    assert whole == [2, 4, 6, 8, 10, 12]
    assert all(verify_checkpoint(checkpoint.path).damage == () for checkpoint in list_checkpoints(run / "checkpoints"))


def contents(run: Path) -> dict[str, str]:
    """The hashes of the last checkpoint's tensors and state."""
    manifest = json.loads((checkpoint_path(run, STEPS) / "manifest.json").read_text())
    return {file["name"]: file["sha256"] for file in manifest["files"]}


def test_on_a_disk_that_may_only_be_read_verbs_look_and_a_run_says_so(
    world: World, calm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.directory)
    run = world.run_dir("read-only")
    with small_disk(run, "50m"):
        shutil.copytree(world.run_dir(calm), run, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(run)], check=True)
        for verb in ("list", "verify", "prune"):
            assert main(["checkpoint", verb, str(run)]) == ExitCode.DONE
        assert main(["checkpoint", "prune", str(run), "--keep", "1", "--yes"]) == ExitCode.STORAGE
        assert "the file system is read-only" in capsys.readouterr().err
        assert main(["pretrain", "run.yaml", "run.dir=runs/read-only"]) == ExitCode.USAGE
        assert "its file system is read-only" in capsys.readouterr().err
        assert len(list_checkpoints(run / "checkpoints")) == STEPS // 2


def test_a_disk_that_fails_in_the_middle_ends_the_run_which_goes_on_when_it_is_mended(
    world: World, calm: str, tmp_path: Path
) -> None:
    run = world.run_dir("failing")
    words = ("pretrain", "run.yaml", "run.dir=runs/failing", "--nproc", "2")
    with FailingDisk(run, tmp_path / "image") as disk:
        process = world.start(*words, "train.tokens=100M")
        try:
            assert wait_until(process, lambda: len(list_checkpoints(run / "checkpoints")) >= 2)
            disk.fail()
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            kill_group(process)
        assert process.returncode == ExitCode.STORAGE, err
        assert re.search("read-only|input/output error", err, re.IGNORECASE) and "Traceback" not in err
        disk.mend()
        whole = list_checkpoints(run / "checkpoints")
        assert len(whole) >= 2 and all(verify_checkpoint(checkpoint.path).damage == () for checkpoint in whole)
        steps = whole[-1].step + 4
        ended = world.megakor(*words, f"train.tokens={steps * BATCH}")
        assert ended.code == ExitCode.DONE, ended.err
        assert list(world.losses("failing")) == list(range(1, steps + 1))
        assert audit(run / "ledger.jsonl", steps * BATCH) == []
