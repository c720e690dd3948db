"""slurm/preprocess.sh on a real Slurm of two nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, Task, wait_for

from megakor.corpus.sample import write_sample_corpus
from megakor.corpus.tokenizer_training import TokenizerOptions, train_tokenizer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
FILES = 8
SUFFIXES = (".bin", ".idx", ".parquet", ".json", ".validation.bin", ".validation.idx")
# Two of the four cores of a node for each task, so that an array of four fills both nodes.
ARRAY = ("--cpus-per-task=2", "--mem-per-cpu=100M")


class Corpus:
    """Text, a tokenizer, and builds of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        texts = write_sample_corpus(directory / "text", megabytes=0.4, seed=7)
        inputs = {path.stem: [str(path)] for path in texts}
        self.tokenizer = train_tokenizer(TokenizerOptions(inputs, directory / "tokenizer", 600), lambda line: None)
        self.pieces = directory / "pieces of text"
        self.pieces.mkdir()
        lines = [line for path in texts for line in path.read_bytes().splitlines(keepends=True)]
        for number in range(FILES):
            (self.pieces / f"{number}.jsonl").write_bytes(b"".join(lines[number::FILES]))

    def arguments(self, name: str) -> list[str]:
        """Of a build with this name, with one worker."""
        return [
            *("--input", f"{self.pieces}/*.jsonl", "--tokenizer-model", str(self.tokenizer), "--append-eod"),
            *("--holdout-share", "0.05", "--workers", "1", "--output-prefix", str(self.prefix(name))),
        ]

    def prefix(self, name: str) -> Path:
        return self.directory / "shards" / name

    def build(self, name: str) -> dict[str, bytes]:
        """The files that one process makes."""
        command = [sys.executable, "tools/preprocess_data.py", *self.arguments(name)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return self.files(name)

    def files(self, name: str) -> dict[str, bytes]:
        return {suffix: Path(f"{self.prefix(name)}{suffix}").read_bytes() for suffix in SUFFIXES}

    def submit(self, slurm: SlurmCluster, name: str, *options: str) -> str:
        """The same build as an array; the number of the job."""
        log = f"--output={self.directory}/{name}-%A_%a.log"
        environment = {"PATH": f"{Path(sys.executable).parent}:{slurm.environment['PATH']}", "VIRTUAL_ENV": sys.prefix}
        words = [*ARRAY, log, *options, "slurm/preprocess.sh", *self.arguments(name)]
        return slurm.sbatch(words, ROOT, environment)

    def logs(self, name: str) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()}" for log in sorted(self.directory.glob(f"{name}-*.log")))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def expected(slurm: SlurmCluster, corpus: Corpus) -> dict[str, bytes]:
    return corpus.build("one_worker")


def ended_well(tasks: list[Task]) -> bool:
    return all((task.state, task.exit_code) == ("COMPLETED", "0:0") for task in tasks)


def test_an_array_over_two_nodes_gives_the_bytes_of_one_worker(
    slurm: SlurmCluster, corpus: Corpus, expected: dict[str, bytes]
) -> None:
    tasks = slurm.finish(corpus.submit(slurm, "array", "--array=0-3"))
    assert ended_well(tasks), corpus.logs("array")
    assert {task.node for task in tasks} == set(slurm.nodes)
    assert corpus.files("array") == expected
    assert not Path(f"{corpus.prefix('array')}.work").exists(), "the last task cleans up"


def test_the_same_command_completes_what_a_cancelled_task_left(
    slurm: SlurmCluster, corpus: Corpus, expected: dict[str, bytes]
) -> None:
    job = corpus.submit(slurm, "cancelled", "--array=0-3")
    wait_for(lambda: "RUNNING" in [task.state for task in slurm.tasks(f"{job}_3")], "task 3", 60)
    slurm.command("scancel", f"{job}_3")
    *others, cancelled = slurm.finish(job)
    assert ended_well(others), corpus.logs("cancelled")
    assert cancelled.state == "CANCELLED"
    assert not Path(f"{corpus.prefix('cancelled')}.idx").exists()

    assert ended_well(slurm.finish(corpus.submit(slurm, "cancelled", "--array=0-3"))), corpus.logs("cancelled")
    assert corpus.files("cancelled") == expected


def test_tasks_that_run_one_after_another_do_not_wait_for_each_other(
    slurm: SlurmCluster, corpus: Corpus, expected: dict[str, bytes]
) -> None:
    tasks = slurm.finish(corpus.submit(slurm, "throttled", "--array=0-2%1"))
    assert ended_well(tasks), corpus.logs("throttled")
    assert corpus.files("throttled") == expected


def test_a_node_that_crashes_costs_only_time(slurm: SlurmCluster, corpus: Corpus, expected: dict[str, bytes]) -> None:
    if not slurm.isolated:
        pytest.skip("a node cannot be crashed without namespaces of its own")
    job = corpus.submit(slurm, "crashed", "--array=0-3")
    wait_for(lambda: [task.state for task in slurm.tasks(job)] == ["RUNNING"] * 4, "all tasks", 60)
    slurm.crash("node2")
    slurm.command("scontrol", "update", "nodename=node2", "state=down", "reason=crash")
    slurm.boot("node2")
    slurm.command("scontrol", "update", "nodename=node2", "state=resume")
    tasks = slurm.finish(job)
    assert ended_well(tasks), corpus.logs("crashed")
    assert sum(task.restarts for task in tasks) == 2
    assert corpus.files("crashed") == expected
