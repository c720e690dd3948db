"""slurm/preprocess.sh, and srun, on a real Slurm of two nodes."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from corpus_builds import content, words
from slurm_cluster import SlurmCluster, Task, wait_for

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# Two of the four cores of a node for each task, so that an array of four fills both nodes.
ARRAY = ("--array=0-3", "--cpus-per-task=2", "--mem-per-cpu=100M")


@dataclass(frozen=True)
class Builds:
    """Builds of the corpus by jobs."""

    slurm: SlurmCluster
    directory: Path

    def prefix(self, name: str) -> Path:
        return self.directory / "slurm" / name / "out"

    def submit(self, name: str, *options: str) -> str:
        """Submit from the root of the repository, in the environment of the tests; the number of the job."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{self.slurm.environment['PATH']}",
            "VIRTUAL_ENV": sys.prefix,
        }
        return self.slurm.sbatch([f"--output={self.directory}/{name}-%j.log", *options], ROOT, environment)

    def array(self, name: str) -> str:
        """The build as an array of four tasks with one worker each."""
        arguments = words(self.directory, self.prefix(name), "--workers", "1")[2:]
        return self.submit(name, *ARRAY, "slurm/preprocess.sh", *arguments)

    def check(self, name: str, tasks: list[Task]) -> None:
        """All tasks ended well and the shards are those of one process."""
        assert all((task.state, task.exit_code) == ("COMPLETED", "0:0") for task in tasks), self.logs(name)
        assert content(self.prefix(name)) == content(self.directory / "calm" / "out")

    def logs(self, name: str) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()}" for log in sorted(self.directory.glob(f"{name}-*.log")))


@pytest.fixture
def builds(slurm: SlurmCluster, corpus_directory: Path) -> Builds:
    return Builds(slurm, corpus_directory)


def test_an_array_over_two_nodes_gives_the_bytes_of_one_process(builds: Builds) -> None:
    tasks = builds.slurm.finish(builds.array("array"))
    builds.check("array", tasks)
    assert {task.node for task in tasks} == set(builds.slurm.nodes)
    assert "member 4 of 4 (Slurm array)" in builds.logs("array")


def test_the_same_command_completes_what_a_cancelled_task_left(builds: Builds) -> None:
    job = builds.array("cancelled")
    wait_for(lambda: "RUNNING" in [task.state for task in builds.slurm.tasks(f"{job}_3")], "task 3", 60)
    builds.slurm.command("scancel", f"{job}_3")
    *others, cancelled = builds.slurm.finish(job)
    assert [task.state for task in others] == ["COMPLETED"] * 3, builds.logs("cancelled")
    assert cancelled.state == "CANCELLED"
    assert not builds.prefix("cancelled").with_suffix(".idx").exists()

    builds.check("cancelled", builds.slurm.finish(builds.array("cancelled")))


def test_a_node_that_crashes_costs_only_time(builds: Builds) -> None:
    if not builds.slurm.isolated:
        pytest.skip("a node cannot be crashed without namespaces of its own")
    job = builds.array("crashed")
    wait_for(lambda: [task.state for task in builds.slurm.tasks(job)] == ["RUNNING"] * 4, "all tasks", 60)
    builds.slurm.crash("node2")
    builds.slurm.command("scontrol", "update", "nodename=node2", "state=down", "reason=crash")
    builds.slurm.boot("node2")
    builds.slurm.command("scontrol", "update", "nodename=node2", "state=resume")
    tasks = builds.slurm.finish(job)
    builds.check("crashed", tasks)
    assert sum(task.restarts for task in tasks) == 2


def test_tasks_of_srun_share_a_build_and_none_waits_for_one_that_failed(builds: Builds) -> None:
    def step(name: str, *options: str) -> list[Task]:
        command = shlex.join(["srun", "-n", "3", *words(builds.directory, builds.prefix(name), *options)])
        return builds.slurm.finish(builds.submit(name, "--nodes=2", "--ntasks=3", "--wrap", command))

    builds.check("step", step("step"))
    bad = builds.directory / "bad.jsonl"
    bad.write_text('{"text": "fine"}\nnot json\n')
    (failed,) = step("failed", "--input", str(builds.directory / "text"), str(bad))
    assert failed.state == "FAILED"
    assert builds.logs("failed").count(f"error: {bad}:2: not valid JSON") == 1
