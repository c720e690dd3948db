"""The batch scripts, under stand-ins for Slurm's commands, containers and the project's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hostile_words import HOSTILE

ROOT = Path(__file__).parents[2]
SRUN = """
echo "srun: $*" >>"$LOG"
while [[ $1 == --* ]]; do shift; done
[[ $1 != apptainer ]] || "$@"
[[ $1 == apptainer ]] || exec "$@"
"""
PYTHON = """
printf '[%s]' "${OMP_NUM_THREADS:-}" "${MEGAKOR_TEAM:-}" "$@" >>"$LOG"
echo >>"$LOG"
case " $* " in
    *" wrong=1 "*) exit 2 ;;
    *" megakor.launch.ending "*) exit "${ENDING:-0}" ;;
    *" --dry-run "*) exit 0 ;;
    *" sleep=1 "*)
        trap 'echo told >>"$LOG"; exit "${RANKS:-0}"' USR1 TERM
        kill -s "$TELL" "$PPID"
        sleep 9 >/dev/null 2>&1 &
        wait
        ;;
esac
exit "${RANKS:-0}"
"""
SCONTROL = """
echo "scontrol: $*" >>"$LOG"
[[ $1 == requeue ]] || echo "JobId=41 JobState=${STATE:-RUNNING} Reason=None PreemptTime=${PREEMPTED:-None} Restarts=0"
exit "${REFUSED:-0}"
"""
STAND_INS = {
    "srun": SRUN,
    "python": PYTHON,
    "scontrol": SCONTROL,
    "scancel": 'echo "scancel: $*" >>"$LOG"',
    "apptainer": 'echo "apptainer: $*" >>"$LOG"; while [[ $1 != *.sif ]]; do shift; done; shift; exec "$@"',
    "sleep": '[[ $1 == 600 ]] || exec /bin/sleep "$@"',
}
JOB = {
    "SLURM_JOB_ID": "41",
    "SLURM_SUBMIT_DIR": str(ROOT),
    "SLURM_JOB_NODELIST": "node[7-8]",
    "SLURM_NTASKS": "2",
    "SLURM_CPUS_PER_TASK": "16",
    "SLURM_ARRAY_TASK_ID": "",
}
CHECK = "[16][][-m][megakor][pretrain][configs/pretrain_10b.yaml][--nproc][2]"
RANKS = "[16][][-m][megakor][pretrain][configs/pretrain_10b.yaml]"


class Ended:
    """What a script did."""

    def __init__(self, process: subprocess.CompletedProcess[str], log: Path) -> None:
        self.code = process.returncode
        self.out, self.err = process.stdout, process.stderr
        self.log = log.read_bytes().decode() if log.exists() else ""
        self.calls = self.log.splitlines()


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, text in STAND_INS.items():
        (directory / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (directory / name).chmod(0o755)
    return directory


def run(commands: Path, name: str, *words: str, **variables: str) -> Ended:
    """A script in the environment that Slurm gives it; in none where SLURM_JOB_ID is empty."""
    log = commands.parent / "log"
    log.unlink(missing_ok=True)
    path = f"{commands}:{os.environ['PATH']}"
    environment = {"PATH": path, "LOG": str(log), "VIRTUAL_ENV": "active", **JOB, **variables}
    script = ["bash", str(ROOT / "slurm" / name), *words]
    ended = subprocess.run(script, capture_output=True, text=True, env=environment, cwd=ROOT)
    return Ended(ended, log)


def pretrain(commands: Path, *words: str, **variables: str) -> Ended:
    return run(commands, "pretrain_10b.sh", *words, **variables)


def test_settings_are_checked_and_then_one_task_a_rank_is_started(commands: Path) -> None:
    ended = pretrain(commands, "run.dir=runs/a b")
    assert ended.code == 0, ended.err
    check, srun, ranks, ending, scontrol = ended.calls
    assert check == f"{CHECK}[run.dir=runs/a b][--dry-run][--check-data]"
    assert srun.startswith("srun: --kill-on-bad-exit=0 --cpus-per-task=16 python -m megakor pretrain")
    assert ranks == f"{RANKS}[run.dir=runs/a b]"
    assert ending == "[16][][-m][megakor.launch.ending][0][configs/pretrain_10b.yaml][run.dir=runs/a b]"
    assert scontrol == "scontrol: --oneliner show job 41"
    assert "job 41, start 1, 2 ranks on node[7-8], configs/pretrain_10b.yaml run.dir=runs/a b" in ended.out


def test_another_config_is_a_variable(commands: Path) -> None:
    ended = pretrain(commands, CONFIG="my run.yaml")
    assert all("[my run.yaml]" in call for call in ended.calls if call.startswith("["))


def test_a_wrong_setting_stops_the_job_before_any_rank_starts(commands: Path) -> None:
    ended = pretrain(commands, "wrong=1")
    assert ended.code == 2
    assert ended.calls == [f"{CHECK}[wrong=1][--dry-run][--check-data]"]


@pytest.mark.parametrize(("name", "words"), [("pretrain_10b.sh", "--nproc"), ("cmr_sweep.sh", "cmr")])
def test_settings_can_be_checked_without_a_job(commands: Path, name: str, words: str) -> None:
    none = {"SLURM_JOB_ID": "", "SLURM_SUBMIT_DIR": "", "SLURM_NTASKS": ""}
    ended = run(commands, name, "--check", "a=1", **none)
    assert ended.code == 0
    (call,) = ended.calls
    assert "[a=1]" in call
    assert "[--dry-run]" in call
    assert run(commands, name, "--check", "wrong=1", **none).code == 2
    ended = run(commands, name, "a=1", **none)
    assert (ended.code, ended.calls) == (2, [])
    assert f"sbatch {ROOT}/slurm/{name}" in ended.err


@pytest.mark.parametrize("name", ["pretrain_10b.sh", "preprocess.sh", "cmr_sweep.sh"])
def test_help_needs_no_job(commands: Path, name: str) -> None:
    ended = run(commands, name, "--help", SLURM_JOB_ID="", SLURM_SUBMIT_DIR="")
    assert ended.code == 0
    assert f"sbatch {'--array=0-15 ' if name == 'preprocess.sh' else ''}slurm/{name}" in ended.out
    assert ended.calls == []


def test_a_job_that_has_saved_goes_back_into_the_queue(commands: Path) -> None:
    ended = pretrain(commands, RANKS="75", ENDING="75")
    assert "[megakor.launch.ending][75]" in ended.log
    assert ended.calls[-1] == "scontrol: requeue 41"


def test_the_code_of_the_run_is_that_of_the_job(commands: Path) -> None:
    ended = pretrain(commands, RANKS="137", ENDING="70")
    assert "[megakor.launch.ending][137]" in ended.log
    assert ended.code == 70
    assert "requeue" not in ended.log


def test_a_cancelled_job_is_not_requeued(commands: Path) -> None:
    ended = pretrain(commands, RANKS="75", ENDING="75", STATE="CANCELLED")
    assert ended.code == 75
    assert "scontrol: requeue" not in ended.log


def test_a_preempted_job_is_requeued_though_its_ranks_have_stopped_well(commands: Path) -> None:
    assert pretrain(commands, PREEMPTED="2026-11-28T02:03:04").calls[-1] == "scontrol: requeue 41"


def test_a_cluster_that_does_not_requeue_is_told(commands: Path) -> None:
    ended = pretrain(commands, RANKS="75", ENDING="75", REFUSED="1")
    assert ended.code == 75
    assert "Submit the same command again" in ended.out


def test_a_chain_goes_on_in_its_next_task_and_ends_with_the_run(commands: Path) -> None:
    chain = {"CHAIN": "1", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MAX": "3"}
    ended = pretrain(commands, RANKS="75", ENDING="75", **chain)
    assert ended.code == 0
    assert "scontrol" not in ended.log
    assert "scancel" not in ended.log
    for code in ("0", "65"):
        ended = pretrain(commands, RANKS=code, ENDING=code, **chain)
        assert ended.code == int(code)
        assert ended.calls[-1] == "scancel: --state=PENDING 40"
    assert pretrain(commands, RANKS="75", ENDING="75", **{**chain, "SLURM_ARRAY_TASK_ID": "3"}).code == 75


def test_apptainer_runs_every_python(commands: Path) -> None:
    ended = pretrain(commands, CONTAINER="/images/mega kor.sif", MOUNTS="/data:/data", VIRTUAL_ENV="")
    wanted = f"apptainer: exec --nv --bind {ROOT},/data:/data --pwd {ROOT} /images/mega kor.sif python -m megakor"
    assert ended.log.count(wanted) == 3, ended.err
    assert ended.log.count("srun: ") == 1


def test_pyxis_runs_every_python(commands: Path) -> None:
    ended = pretrain(commands, CONTAINER="nvcr.io/nvidia/pytorch:26.01-py3", VIRTUAL_ENV="")
    image = f"--container-image=nvcr.io/nvidia/pytorch:26.01-py3 --container-mounts={ROOT}:{ROOT}"
    assert ended.log.count(image) == 3, ended.err
    assert ended.log.count("srun: --nodes=1 --ntasks=1 --overlap") == 2


def test_the_arguments_of_a_build_arrive_as_they_are_and_its_exit_code_leaves(commands: Path) -> None:
    words = ["--input", "data/*.jsonl", "a b.jsonl", "", '--prepend={url} "quoted" $HOME']
    ended = run(commands, "preprocess.sh", *words, RANKS="74")
    assert ended.code == 74
    arguments = ["tools/preprocess_data.py", "--workers", "16", *words]
    assert ended.calls[0] == "".join(f"[{word}]" for word in ["16", "slurm-array", *arguments])


@pytest.mark.parametrize("code", ["0", "143"])
def test_a_build_whose_time_is_up_ends_and_its_task_is_requeued(commands: Path, code: str) -> None:
    ended = run(commands, "preprocess.sh", "sleep=1", TELL="USR1", RANKS=code)
    assert ended.calls[1:] == ["told", "scontrol: --oneliner show job 41", "scontrol: requeue 41"]


def test_a_build_that_is_cancelled_is_told(commands: Path) -> None:
    ended = run(commands, "preprocess.sh", "sleep=1", TELL="TERM", RANKS="143", STATE="CANCELLED")
    assert ended.calls[1] == "told"
    assert ended.code == 143


def test_every_task_of_a_sweep_takes_its_share(commands: Path) -> None:
    ended = run(commands, "cmr_sweep.sh", "a b.yaml", SLURM_ARRAY_TASK_ID="2", SLURM_ARRAY_TASK_COUNT="6")
    assert ended.calls[0] == "[][][-m][megakor][cmr][sweep][a b.yaml][--share][2/6]"


def test_an_environment_that_is_not_there_is_told(commands: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "slurm").mkdir(parents=True)
    (root / "slurm/shared.sh").write_bytes((ROOT / "slurm/shared.sh").read_bytes())
    variables = {"VIRTUAL_ENV": "", "SLURM_SUBMIT_DIR": str(root)}
    ended = run(commands, "preprocess.sh", **variables)
    assert ended.code == 2
    assert f"{root}/.venv is missing" in ended.err
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/activate").write_text("echo activated\n")
    assert run(commands, "preprocess.sh", **variables).out.startswith("activated\n")


@pytest.mark.parametrize("word", HOSTILE)
def test_no_argument_becomes_a_command(commands: Path, word: str) -> None:
    for name in ("pretrain_10b.sh", "preprocess.sh", "cmr_sweep.sh"):
        task = {"SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_ID": "0"} if name == "cmr_sweep.sh" else {}
        ended = run(commands, name, f"run.dir={word}", RANKS="75", ENDING="75", **task)
        assert f"[run.dir={word}]" in ended.log
        assert ended.calls[-1] == "scontrol: requeue 41"
        assert not (ROOT / "canary").exists()


@pytest.mark.parametrize("script", sorted(ROOT.glob("slurm/*.sh")), ids=lambda script: script.name)
def test_scripts_are_whole_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
