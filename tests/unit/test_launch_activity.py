"""What is known of a run's processes, and how it is asked to stop. Slurm's commands are stand-ins here; the real ones
are met in tests/e2e."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from megakor.cli import main
from megakor.errors import DataError, HardwareError
from megakor.launch.activity import activity_of, stop
from megakor.launch.submission import Submission
from megakor.lock import Holder
from megakor.report.metrics import MetricsFile

SCONTROL = """\
#!/bin/bash
if [[ -e $JOBS/$4 ]]; then cat "$JOBS/$4"; else echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi
"""
SCANCEL = '#!/bin/bash\necho "$*" >>"$JOBS/cancelled"\n'


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The jobs that a stand-in of Slurm knows, a file each."""
    for name, text in {"scontrol": SCONTROL, "scancel": SCANCEL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs"


def job(jobs: Path, number: str, state: str, **further: str) -> None:
    fields = {
        "JobId": number,
        "JobName": "a b",
        "JobState": state,
        "Reason": "None",
        "Restarts": "0",
        "ExitCode": "0:0",
    }
    fields |= {"Command": "/a b/c.sh", "NodeList": "node[1-2]", **further}
    (jobs / number).write_text(" ".join(f"{key}={value}" for key, value in fields.items()) + "\n")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def held_by(run: Path, holder: Holder) -> None:
    (run / "lock").write_text(f"{holder}\n")


def test_a_directory_without_a_run_is_said(run: Path) -> None:
    with pytest.raises(DataError, match="no run has been started here"):
        activity_of(run)


def test_a_job_in_the_queue_is_taken_out_of_it(run: Path, jobs: Path) -> None:
    Submission.now("slurm", "41", run / "log").write(run)
    job(jobs, "41", "PENDING", Reason="Resources")
    assert activity_of(run).words == "Slurm job 41: PENDING (Resources)"
    assert stop(run).endswith("taken out of the queue")
    assert (jobs / "cancelled").read_text() == "41\n"


def test_a_running_job_is_asked_to_save_and_its_chain_is_cancelled(run: Path, jobs: Path) -> None:
    held_by(run, Holder(7, "node1", "43", "40"))
    job(jobs, "43", "RUNNING", Restarts="2")
    assert activity_of(run).words == "Slurm job 43: RUNNING on node[1-2], start 3"
    assert stop(run).endswith("asked to save and stop")
    assert (jobs / "cancelled").read_text() == "--state=PENDING 40\n--signal=TERM 43\n"


def test_the_job_that_is_active_counts(run: Path, jobs: Path) -> None:
    held_by(run, Holder(7, "node1", "43"))
    job(jobs, "43", "FAILED", ExitCode="65:0")
    assert activity_of(run).words == "Slurm job 43: FAILED, exit code 65"
    assert stop(run).endswith("nothing to stop")
    Submission.now("slurm", "44", run / "log").write(run)
    job(jobs, "44", "PENDING")
    assert activity_of(run).words.startswith("Slurm job 44")
    (jobs / "43").unlink()
    (jobs / "44").unlink()
    assert activity_of(run).state == "over"


def test_without_slurm_a_job_cannot_be_asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(run, Holder(7, "node1", "43"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HardwareError, match="ask on a node of its cluster"):
        activity_of(run)


def test_a_local_run_is_asked_by_its_first_rank(run: Path) -> None:
    program = (
        "import signal, sys, time\nfrom pathlib import Path\nfrom megakor.lock import lock_directory\n"
        f"held = lock_directory(Path({str(run)!r}), '')\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        assert activity_of(run).words == f"running: process {process.pid} on {Holder.here().host}"
        assert stop(run).endswith("asked to save and stop")
        assert process.wait(30) == 5
    assert activity_of(run).state == "over"
    assert stop(run).endswith("nothing to stop")


def test_a_number_that_another_process_has_now_is_not_the_run(run: Path) -> None:
    held_by(run, Holder(os.getpid(), Holder.here().host))
    assert activity_of(run).state == "over"


def test_a_run_of_another_machine_is_left_to_it(run: Path) -> None:
    held_by(run, Holder(7, "elsewhere"))
    assert activity_of(run).state == "unknown"
    with pytest.raises(HardwareError, match="process 7 on elsewhere; ask there"):
        stop(run)


def test_status_says_how_far_a_run_has_come(run: Path, jobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_by(run, Holder(7, "node1", "43"))
    job(jobs, "43", "RUNNING")
    assert main(["status", str(run)]) == 0
    assert "no step yet" in capsys.readouterr().out
    (run / "config.yaml").write_text("train: {tokens: 4096}\n")
    metrics = MetricsFile(run / "metrics.jsonl")
    for step in (1, 2):
        loss, speed = 3.0 / step, 10.0
        metrics.write({"kind": "train", "step": step, "tokens": 1024 * step, "loss": loss, "tokens_per_second": speed})
    metrics.write({"kind": "validation", "tokens": 2048, "source": "korean", "loss": 2.5, "time": 1.0})
    metrics.close()
    assert main(["status", str(run)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in ("step 2, 2,048 tokens of 4,096 (50.0%)", "4 min left", "loss 1.5000", "validation korean 2.5000"):
        assert words.replace("4 min left", "3 min left") in text or words in text
    assert main(["status", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["tokens"], found["budget"], found["loss"]) == ("running", 2048, 4096, 1.5)
