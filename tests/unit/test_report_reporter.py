"""One report reaches every output; a disabled reporter touches nothing; reporting needs no torch."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from megakor.config.schema import Config
from megakor.config.schema_training import TrainConfig
from megakor.errors import StorageError
from megakor.report.memory import peak_device_bytes, peak_host_bytes
from megakor.report.metrics import read_metrics
from megakor.report.records import TrainRecord, ValidationRecord
from megakor.report.reporter import Hardware, Reporter

TRAIN = TrainRecord(1, 1_000, 0.1 + 0.2, 3e-4, 1.5, batch_tokens=1_000, seconds=0.5, sequence_length=100)
VALIDATION = ValidationRecord(0, 0, "web", "ko", 2.5, 100, 300)
H100 = Hardware("NVIDIA H100 80GB HBM3", 2)


@pytest.fixture
def config() -> Config:
    return Config(train=TrainConfig(tokens=10_000, precision="bf16"))


def test_all_outputs_get_every_record(tmp_path: Path, config: Config) -> None:
    stream = io.StringIO()
    with Reporter(tmp_path, config, enabled=True, stream=stream) as reporter:
        reporter.validation(VALIDATION, replace(VALIDATION, source="wiki", language="en"))
        reporter.train(TRAIN)
        reporter.event("checkpoint", tokens=1_000, path="checkpoints/tokens-000001000")
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["kind"] for line in lines] == ["event", "validation", "validation", "train", "event"]
    assert lines[3]["loss"] == 0.1 + 0.2
    assert lines[3]["host_peak_bytes"] > 0 and "mfu" not in lines[3]
    assert lines[4] | {"time": 0} == {
        "kind": "event", "name": "checkpoint", "tokens": 1_000, "path": "checkpoints/tokens-000001000", "time": 0,
    }  # fmt: skip
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert "loss 0.3000" in stream.getvalue() and "checkpoint | tokens 1000" in stream.getvalue()


def test_a_disabled_reporter_leaves_no_trace(tmp_path: Path, config: Config) -> None:
    stream = io.StringIO()
    with Reporter(tmp_path / "run", config, enabled=False, stream=stream) as reporter:
        reporter.validation(VALIDATION)
        reporter.train(TRAIN)
        reporter.resumed(0, attempt=2)
    assert not (tmp_path / "run").exists() and stream.getvalue() == ""


def test_tensorboard_can_be_turned_off(tmp_path: Path, config: Config) -> None:
    config.report.tensorboard = False
    with Reporter(tmp_path, config, enabled=True, stream=io.StringIO()) as reporter:
        reporter.train(TRAIN)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_resume_is_on_record_for_readers(tmp_path: Path, config: Config) -> None:
    with Reporter(tmp_path, config, enabled=True, stream=io.StringIO()) as reporter:
        reporter.resumed(5_000, attempt=3)
    resume = read_metrics(tmp_path / "metrics.jsonl")[-1]
    assert (resume["name"], resume["tokens"], resume["attempt"]) == ("resume", 5_000, 3)


def test_utilization_is_measured_against_a_stated_peak(tmp_path: Path, config: Config) -> None:
    options = {"enabled": True, "vocabulary_size": 1_000, "hardware": H100}
    with Reporter(tmp_path, config, **options, stream=io.StringIO()) as reporter:  # type: ignore[arg-type]
        reporter.train(TRAIN)
        reporter.train(replace(TRAIN, attention_span=50))
    hardware, whole_rows, documents = read_metrics(tmp_path / "metrics.jsonl")
    assert hardware["mfu"] == "of 989 TFLOP/s (H100 SXM, bf16, dense)"
    model = config.model
    weights = model.layers * (4 * 256**2 + 3 * 256 * 688) + 256 * 1_000
    flops = 6 * weights + 6 * model.layers * 256 * 100
    assert whole_rows["mfu"] == pytest.approx(flops * 2_000 / (2 * 989.4e12), rel=1e-12)
    assert documents["mfu"] < whole_rows["mfu"]


def test_a_cpu_has_no_utilization_and_the_log_says_so(tmp_path: Path, config: Config) -> None:
    stream = io.StringIO()
    with Reporter(tmp_path, config, enabled=True, vocabulary_size=1_000, stream=stream) as reporter:
        reporter.train(TRAIN)
    assert "mfu n/a: no peak is known for cpu" in stream.getvalue()
    assert "mfu" not in read_metrics(tmp_path / "metrics.jsonl")[1]


def test_a_run_directory_that_is_a_file_is_refused(tmp_path: Path, config: Config) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match=r"metrics\.jsonl: cannot be written"):
        Reporter(tmp_path / "run", config, enabled=True)


def test_memory_is_in_bytes_and_a_gpu_that_is_not_used_has_none() -> None:
    before = peak_host_bytes()
    block = bytearray(64 * 2**20)
    assert 10 * 2**20 < before < 2**45
    assert peak_host_bytes() >= before and len(block) == 64 * 2**20
    assert peak_device_bytes() is None


def test_reporting_and_the_learning_rate_need_no_torch() -> None:
    modules = ["reporter", "tensorboard", "table", "plot", "commands"]
    names = [f"megakor.report.{name}" for name in modules] + ["megakor.train.learning_rate"]
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "megakor.report.tensorboard" in loaded
    assert not {"torch", "megatron", "tensorflow", "matplotlib", "rich"} & set(loaded)
