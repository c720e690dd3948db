"""`megakor checkpoint list|verify|prune`: everything is called by its name, and only what may go goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_worlds import (
    CONTENTS,
    DAMAGE,
    PART,
    cut_short,
    flip_a_bit,
    leave_unfinished,
    make_checkpoint,
    set_aside,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megakor.checkpoint.inventory import examine
from megakor.checkpoint.manifest import MANIFEST, read_manifest, write_manifest
from megakor.checkpoint.pruning import Rules, fates, prune
from megakor.cli import main
from megakor.errors import ExitCode, StorageError
from megakor.lock import lock_directory

KEEP_TWO = Rules(keep=2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with five whole checkpoints, of which its configuration keeps two."""
    for tokens in (100, 200, 300, 400, 500):
        make_checkpoint(tmp_path / "checkpoints", tokens)
    (tmp_path / "config.yaml").write_text("checkpoint: {keep: 2}\n")
    return tmp_path


def at(run: Path, tokens: int) -> Path:
    return run / "checkpoints" / f"tokens-{tokens:012d}"


def alive(run: Path) -> list[str]:
    return sorted(path.name.removeprefix("tokens-").lstrip("0") for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize(("damage", "state"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_each_kind_of_damage_has_its_name_and_its_exit_code(
    run: Path, damage: Callable[[Path], None], state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(at(run, 500))
    assert examine(at(run, 500), "hashes").state == state
    code = main(["checkpoint", "verify", str(run)])
    told = capsys.readouterr().out
    counts = state in ("damaged", "unreadable")  # a directory without a manifest is no checkpoint
    assert code == (ExitCode.STORAGE if counts else ExitCode.DONE)
    assert (f"{at(run, 500)}: {state}" in told) == counts
    assert f"{at(run, 400)}: whole, 1.01 kB" in told


def test_all_verbs_work_where_nothing_can_be_written_and_without_torch(run: Path) -> None:
    flip_a_bit(at(run, 200))
    code = (
        "import sys; from megakor.cli import main; code = main(sys.argv[1:]); sys.exit('torch' in sys.modules or code)"
    )
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for verb, ends in (("list", 0), ("verify", ExitCode.STORAGE), ("prune", 0)):
        ended = subprocess.run([sys.executable, "-c", code, "checkpoint", verb, str(run)], capture_output=True)
        assert ended.returncode == ends, ended.stderr.decode()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_the_list_tells_what_lies_between_the_checkpoints(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "checkpoints" / "iter_0000100").mkdir()
    (at(run, 300) / "notes.txt").touch()
    leave_unfinished(at(run, 400))
    assert main(["checkpoint", "list", str(run), "--json"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert [(entry["tokens"], entry["state"]) for entry in told] == [
        (100, "whole"), (200, "whole"), (300, "whole"), (400, "unfinished"), (500, "whole"), (None, "foreign"),
    ]  # fmt: skip
    assert told[2]["foreign_files"] == ["notes.txt"]
    assert (told[0]["step"], told[0]["bytes"], told[0]["layout"]["tensor"]) == (10, 1012, 2)
    assert main(["checkpoint", "list", str(run)]) == ExitCode.DONE
    assert "notes.txt: not of this checkpoint" in capsys.readouterr().out


def test_one_checkpoint_can_be_verified_wherever_it_lies(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(at(run, 100), run.parent / "a copy")
    assert main(["checkpoint", "verify", str(copy)]) == ExitCode.DONE
    flip_a_bit(copy)
    assert main(["checkpoint", "verify", str(copy), "--sizes"]) == ExitCode.DONE
    assert main(["checkpoint", "verify", str(copy), str(run)]) == ExitCode.STORAGE
    assert "content has changed" in capsys.readouterr().out


def test_a_dry_run_says_everything_and_deletes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "prune", str(run)]) == ExitCode.DONE
    told = capsys.readouterr().out
    assert told.count(" goes ") == 3 and "3 checkpoints (3.04 kB) would go" in told
    assert alive(run) == ["100", "200", "300", "400", "500"]
    assert not (run / "lock").exists()


def test_what_was_said_is_done_and_foreign_files_stay(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = run / "checkpoints" / "iter_0000100"
    foreign.mkdir()
    (foreign / PART).touch()
    outside = make_checkpoint(run.parent / "elsewhere", 150)
    (run / "checkpoints" / outside.name).symlink_to(outside)
    (at(run, 200) / "notes.txt").write_text("mine")
    assert main(["checkpoint", "prune", str(run), "--yes"]) == ExitCode.DONE
    assert alive(run) == ["150", "200", "400", "500", "iter_0000100"]
    assert [file.name for file in at(run, 200).iterdir()] == ["notes.txt"]
    assert "not deleted: notes.txt" in capsys.readouterr().out
    assert (foreign / PART).exists() and examine(outside, "hashes").state == "whole"
    assert main(["checkpoint", "prune", str(run), "--yes"]) == ExitCode.DONE
    assert alive(run) == ["150", "200", "400", "500", "iter_0000100"]


def test_the_newest_whole_one_is_found_by_its_bytes_and_stays(run: Path) -> None:
    for tokens in (300, 400, 500):
        flip_a_bit(at(run, tokens))
    planned = fates(run / "checkpoints", Rules(keep=1), "hashes")
    assert [fate.entry.tokens for fate in planned if fate.goes] == [100]
    assert [fate.why for fate in planned][1] == "the newest whole one"
    assert all("damaged, and newer" in fate.why for fate in planned[2:])


def test_where_nothing_is_whole_nothing_goes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tokens in (100, 200, 300, 400, 500):
        flip_a_bit(at(run, tokens))
    assert main(["checkpoint", "prune", str(run), "--keep", "1", "--yes"]) == ExitCode.STORAGE
    assert "no checkpoint of this run is whole" in capsys.readouterr().err
    assert len(alive(run)) == 5


def test_what_interrupted_saves_have_left_goes_and_what_might_be_mended_stays(run: Path) -> None:
    leave_unfinished(at(run, 100))
    set_aside(at(run, 200))
    cut_short(at(run, 300))
    leave_unfinished(make_checkpoint(run / "checkpoints", 600))
    cut_short(make_checkpoint(run / "checkpoints", 700))
    set_aside(make_checkpoint(run / "checkpoints", 800))
    prune(fates(run / "checkpoints", Rules(keep=0), "sizes"))
    assert alive(run) == ["400", "500", "700", "800"]


def test_a_manifest_that_cannot_be_read_may_be_anybodys(run: Path) -> None:
    (at(run, 100) / MANIFEST).write_text('{"format": "of another program"}')
    prune(fates(run / "checkpoints", KEEP_TWO, "sizes"))
    assert alive(run) == ["100", "400", "500"]


def test_the_checkpoint_that_weights_are_measured_from_stays(run: Path) -> None:
    shutil.rmtree(at(run, 500))
    make_checkpoint(run / "checkpoints", 500, json.dumps({"measuring": {"period": {"first": 200}}}).encode())
    (run / "config.yaml").write_text("checkpoint: {keep: 1}\nreport: {weight_distance: true}\n")
    assert main(["checkpoint", "prune", str(run), "--yes"]) == ExitCode.DONE
    assert alive(run) == ["200", "500"]


def test_a_run_that_goes_on_is_left_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_directory(run, "the run"):
        assert main(["checkpoint", "prune", str(run), "--yes"]) == ExitCode.STORAGE
    assert "is in use by process" in capsys.readouterr().err
    assert len(alive(run)) == 5


@pytest.mark.parametrize("verb", ["list", "verify", "prune"])
def test_what_is_no_run_is_said(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", verb, str(tmp_path / "none")]) == ExitCode.DATA
    assert "is not the directory of a run" in capsys.readouterr().err


def test_without_a_configuration_the_rule_has_to_be_given(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "config.yaml").unlink()
    assert main(["checkpoint", "prune", str(run)]) == ExitCode.USAGE
    assert "--keep N" in capsys.readouterr().err
    assert main(["checkpoint", "prune", str(run), "--keep", "1", "--keep-every", "200", "--yes"]) == ExitCode.DONE
    assert alive(run) == ["200", "400", "500"]


def test_names_from_elsewhere_cannot_command_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(at(run, 500))
    write_manifest(at(run, 500), type(manifest)(**{**vars(manifest), "saved_at": "\x1b[2J", "layout": {"\x1b[3J": 2}}))
    (at(run, 500) / "\x1b[4J").touch()
    for verb in ("list", "verify", "prune"):
        main(["checkpoint", verb, str(run)])
    assert "\x1b" not in capsys.readouterr().out


STATES = st.sampled_from([lambda path: None, cut_short, flip_a_bit, leave_unfinished, set_aside])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STATES, min_size=1, max_size=6), st.integers(0, 3), st.none() | st.integers(1, 400))
def test_pruning_keeps_whatever_the_run_could_resume_from(
    tmp_path: Path, befallen: list[Callable[[Path], None]], keep: int, keep_every: int | None
) -> None:
    directory = tmp_path / "checkpoints"
    shutil.rmtree(directory, ignore_errors=True)
    for number, befall in enumerate(befallen, start=1):
        befall(make_checkpoint(directory, 100 * number))
    whole = [path for path in sorted(directory.iterdir()) if examine(path, "hashes").state == "whole"]
    try:
        prune(fates(directory, Rules(keep, keep_every), "hashes"))
    except StorageError:
        assert not whole
        assert len(list(directory.iterdir())) == len(befallen)
    else:
        assert examine(whole[-1], "hashes").state == "whole"
        assert {file.name for file in whole[-1].iterdir()} == {*CONTENTS, MANIFEST}
