"""The batch scripts, under stand-ins for Slurm's commands and for the project's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRUN = """
while [[ $1 == --* ]]; do shift; done
for task in 0 1; do SLURM_PROCID=$task SLURM_LOCALID=$task "$@"; done
"""
MEGAKOR = """
[[ " $* " == *" wrong=1 "* ]] && exit 2
for name in RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT; do printf '%s ' "${!name:-none}"; done
echo "| $*"
"""
PYTHON = """
printf '[%s]' "$MEGAKOR_TEAM" "$OMP_NUM_THREADS" "$@"
exit 74
"""
STAND_INS = {"srun": SRUN, "megakor": MEGAKOR, "scontrol": "printf 'node7\\nnode8\\n'", "python": PYTHON}


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(commands: Path, name: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A batch script in the environment that Slurm gives it."""
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "VIRTUAL_ENV": "active",
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": "41",
        **variables,
    }
    script = ["bash", str(ROOT / "slurm" / name), *words]
    return subprocess.run(script, capture_output=True, text=True, env=environment)


def sbatch(commands: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tasks = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}
    return run(commands, "pretrain_10b.sh", *words, **tasks)


def test_every_task_learns_its_rank_and_where_the_ranks_meet(commands: Path) -> None:
    ended = sbatch(commands, "run.dir=runs/a b")
    assert ended.returncode == 0, ended.stderr
    checked, *ranks = ended.stdout.splitlines()
    assert (
        checked
        == "none none none none none none | pretrain configs/pretrain_10b.yaml run.dir=runs/a b --dry-run --check-data"
    )
    command = "pretrain configs/pretrain_10b.yaml run.dir=runs/a b"
    assert ranks == [f"{rank} {rank} 2 1 node7 20041 | {command}" for rank in (0, 1)]


def test_a_wrong_setting_stops_the_job_before_any_rank_starts(commands: Path) -> None:
    ended = sbatch(commands, "wrong=1")
    assert ended.returncode == 2
    assert ended.stdout == ""


def test_the_arguments_of_a_build_arrive_as_they_are_and_its_exit_code_leaves(commands: Path) -> None:
    words = ["--input", "data/*.jsonl", "a b.jsonl", "", '--prepend={url} "quoted"\n$HOME']
    ended = run(commands, "preprocess.sh", *words, SLURM_CPUS_PER_TASK="16")
    assert ended.returncode == 74
    arguments = ["tools/preprocess_data.py", "--workers", "16", *words]
    assert ended.stdout == "".join(f"[{word}]" for word in ["slurm-array", "16", *arguments])


def test_an_environment_that_is_not_there_is_told(commands: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "slurm").mkdir(parents=True)
    (root / "slurm/environment.sh").write_bytes((ROOT / "slurm/environment.sh").read_bytes())
    variables = {"VIRTUAL_ENV": "", "SLURM_SUBMIT_DIR": str(root), "SLURM_CPUS_PER_TASK": "16"}
    ended = run(commands, "preprocess.sh", **variables)
    assert ended.returncode == 2
    assert f"{root}/.venv is missing" in ended.stderr
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/activate").write_text("echo activated\n")
    assert run(commands, "preprocess.sh", **variables).stdout.startswith("activated\n[slurm-array]")


@pytest.mark.parametrize("script", sorted(ROOT.glob("slurm/*.sh")), ids=lambda script: script.name)
def test_scripts_are_whole_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
