"""`megakor launch --dry-run`: what would be submitted, and that no name in it becomes a command."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from config_base import write
from hostile_words import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from megakor.cli import main
from megakor.errors import ConfigError
from megakor.launch.resources import job_name, minutes_of

RECORD = '#!/bin/bash\nprintf "%s\\0" "$0" "$@" >>"$LOG"\n'


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for srun and Python that write down their words; the working directory is empty but for a config."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name in ("srun", "python"):
        (directory / name).write_text(RECORD)
        (directory / name).chmod(0o755)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "executable", str(directory / "python"))
    write(tmp_path / "here")
    return directory


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """(exit code, the batch script)."""
    code = main(["launch", "run.yaml", "--dry-run", *words])
    return code, capsys.readouterr().out


def run_script(tools: Path, script: str) -> list[list[str]]:
    """The commands that a batch script runs, as they arrive."""
    log = tools / "log"
    log.unlink(missing_ok=True)
    path = f"{tools}:/usr/bin:/bin"
    subprocess.run(["bash"], input=script, text=True, env={"PATH": path, "LOG": str(log)}, check=True)
    words = log.read_text().split("\0")[:-1]
    starts = [index for index, word in enumerate(words) if word in (str(tools / "srun"), str(tools / "python"))]
    starts = [index for index in starts if index == 0 or words[index - 1] != "--kill-on-bad-exit=0"]
    return [words[start:stop] for start, stop in zip(starts, [*starts[1:], len(words)], strict=True)]


def test_the_batch_script_asks_for_what_the_config_says(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = (
        "device=cuda",
        "train.precision=bf16",
        "cluster.nodes=2",
        "cluster.devices_per_node=4",
        "train.global_batch_size=16Ki",
    )
    code, script = dry_run(capsys, *cluster, "--time", "1-12", "--cpus-per-task", "8", "--sbatch", "partition=h100")
    assert code == 0
    asked = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {
        "--nodes=2",
        "--ntasks-per-node=4",
        "--gpus-per-node=4",
        "--cpus-per-task=8",
        "--time=2160",
        "--partition=h100",
        "--signal=USR2@600",
        "--requeue",
        "--open-mode=append",
        "--job-name=run",
    } <= set(asked)
    assert "slurm/hopper.sh" in script
    assert "--gpus-per-node" not in dry_run(capsys, "device=cpu")[1]
    assert "hopper" not in dry_run(capsys, "device=cpu")[1]


def test_a_batch_script_runs_the_copy_of_the_code_and_then_concludes(
    tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, script = dry_run(capsys, "device=cpu", "run.dir=runs/a b")
    assert code == 0
    copy = Path.cwd() / "runs/a b/launch/0001"
    assert f"#SBATCH --chdir={shlex.quote(str(copy / 'code'))}" in script
    ranks, conclusion = run_script(tools, script)
    assert ranks[-5:] == [str(tools / "python"), "-u", "-m", "submitit.core._submit", str(copy / "submitit")]
    assert conclusion[1:] == ["-m", "megakor.launch.after", "0", str(copy / "config.yaml")]
    assert not Path("runs").exists(), "a dry run writes nothing"


def test_a_setup_file_is_sourced_first(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my setup.sh").write_text('srun "from the setup"\n')
    code, script = dry_run(capsys, "device=cpu", "--setup", "my setup.sh")
    assert code == 0
    assert run_script(tools, script)[0][1:] == ["from the setup"]


@pytest.mark.parametrize("word", HOSTILE)
def test_no_name_becomes_a_command(tools: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    tries = [
        ["device=cpu", f"run.dir={json.dumps('runs/' + word)}"],
        ["device=cpu", f"run.dir=runs/{word}"],
        ["device=cpu", "--name", word],
        ["device=cpu", "--sbatch", f"comment={word}"],
        ["device=cpu", f"data.tokenizer={json.dumps(word)}"],
    ]
    answered = []
    for words in tries:
        try:
            code, script = dry_run(capsys, *words)
        except SystemExit as refused:  # by argparse
            code, script = int(refused.code or 0), ""
        answered.append(code)
        assert code in (0, 2)
        if code == 0:
            ranks, conclusion = run_script(tools, script)
            assert ranks[-1].endswith("/launch/0001/submitit")
            assert conclusion[-1].endswith("/launch/0001/config.yaml")
            for line in script.splitlines():
                assert not line.startswith("#SBATCH") or len(shlex.split(line.removeprefix("#SBATCH "))) == 1
        assert sorted(path.name for path in Path.cwd().iterdir()) == ["run.yaml"]
    reference = "${" in word  # of OmegaConf, to another key; there is none
    assert answered[4] == (2 if reference else 0), "what never reaches the script is no reason to refuse it"


@pytest.mark.parametrize("executor", ["local", "mpi", "torchrun"])
@pytest.mark.parametrize("word", ["a b; touch canary", "$(touch canary)", "'", '"'])
def test_a_command_line_can_be_typed_as_it_is_printed(
    tools: Path, capsys: pytest.CaptureFixture[str], executor: str, word: str
) -> None:
    code, line = dry_run(capsys, "--executor", executor, "--nproc", "2", f"run.dir={json.dumps('runs/' + word)}")
    assert code == 0
    words = shlex.split(line.removeprefix("2 times, in the background: "))
    copy = Path.cwd() / "runs" / word / "launch/0001"
    assert words[-3:] == [str(copy / "code/start.py"), "pretrain", str(copy / "config.yaml")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cluster.nodes=2", "train.global_batch_size=16Ki", "--executor", "mpi"], "starts ranks on this machine"),
        (["--nproc", "2"], "set cluster.nodes"),
        (["--time", "soon"], "days-hours"),
        (["--time", "0"], "no time at all"),
        (["--sbatch", "signal=KILL"], "sets it"),
        (["--sbatch", "h100"], "constraint=h100"),
        (["--setup", "nowhere.sh"], "no such file"),
        (["run.dir=runs/%j"], "Slurm reads %"),
        (["train.tokens=-1"], "train.tokens"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_submitted(
    tools: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["launch", "run.yaml", "--dry-run", *words]) == 2
    assert told in capsys.readouterr().err


def test_data_that_are_not_here_are_said_before_anything_is_submitted(
    tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", "run.yaml"]) == 2
    assert "nowhere/tokenizer" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90:30", 91), ("36:00:00", 2160), ("2-00", 2880), ("2-00:00:00", 2880), ("1-02:30", 1590)],
)
def test_times_are_spelt_as_slurm_does(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@given(st.text())
def test_a_job_name_is_plain_whatever_it_was(text: str) -> None:
    name = job_name(text)
    assert name
    assert shlex.quote(name.encode("ascii", "ignore").decode() or "a") == (
        name.encode("ascii", "ignore").decode() or "a"
    )


def test_no_time_is_refused() -> None:
    with pytest.raises(ConfigError):
        minutes_of("0:00:00")
