"""TensorBoard files are read back with TensorBoard's own reader."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

from megakor.config.schema import Config
from megakor.config.schema_data import DataConfig, PhaseConfig, ReplayConfig, SourceConfig
from megakor.curriculum.stability_gap import Gap
from megakor.errors import StorageError
from megakor.report.measures import GapRecord
from megakor.report.records import ReplayProgress, SourceProgress, TrainRecord, ValidationRecord
from megakor.report.tensorboard import TensorBoardOutput
from megakor.report.tensorboard_layout import layout_of

TRAIN = TrainRecord(
    5, 5_000, 2.5, 3e-4, 1.5, batch_tokens=1_000, seconds=0.5, sequence_length=100, mfu=0.4, host_peak_bytes=2**31,
    sources={"web": SourceProgress("ko", 1_000, 4_000, 1.25, 0.8)}, replay=ReplayProgress(0.3, 0.25, 0.5),
)  # fmt: skip
VALIDATION = ValidationRecord(5, 5_000, "web", "ko", math.log(2), 100, 50)


def read(directory: Path) -> EventAccumulator:
    reader = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    reader.Reload()
    return reader


def scalars(reader: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def test_every_promised_scalar_is_there_with_tokens_as_its_axis(tmp_path: Path) -> None:
    output = TensorBoardOutput(tmp_path, {})
    output.train(replace(TRAIN, device_peak_bytes=2**30))
    output.validation([VALIDATION, replace(VALIDATION, source="books", loss=3 * math.log(2))])
    output.close()
    reader = read(tmp_path)
    expected = {
        "train/loss": 2.5, "train/lr": 3e-4, "train/grad_norm": 1.5,
        "throughput/tokens_per_second": 2_000, "throughput/mfu": 0.4,
        "memory/host_peak_gib": 2, "memory/device_peak_gib": 1,
        "replay/intended": 0.3, "replay/realised": 0.25, "replay/realised_in_phase": 0.5,
        "mixture/web/realised": 1, "mixture/web/intended": 0.8, "data/web/tokens": 4_000, "data/web/epoch": 1.25,
        "validation/ko/web/loss": math.log(2), "validation/ko/web/bits_per_byte": 2,
        "validation/ko/books/bits_per_byte": 6, "validation/ko/bits_per_byte": 4,
    }  # fmt: skip
    for tag, value in expected.items():
        [(tokens, read_value)] = scalars(reader, tag)
        assert tokens == 5_000 and read_value == pytest.approx(value, rel=1e-6), tag


def test_the_config_is_shown_as_text_line_for_line(tmp_path: Path) -> None:
    TensorBoardOutput(tmp_path, {"config": "run:\n  dir: 실험"}).close()
    [event] = read(tmp_path).Tensors("config")
    assert event.tensor_proto.string_val[0].decode() == "    run:\n      dir: 실험\n"


def charts_of(layout: Layout, tags: list[str]) -> dict[str, list[str]]:
    """Chart -> the tags it shows, found as the plugin finds them."""
    return {
        chart.title: [tag for tag in tags if any(re.match(pattern, tag) for pattern in chart.multiline.tag)]
        for category in layout.category
        for chart in category.chart
    }


def test_curves_that_are_compared_stand_in_one_chart(tmp_path: Path) -> None:
    sources = {name: SourceConfig(language="ko") for name in ("web", "web (new)", "웹")}
    config = Config(data=DataConfig(sources=sources, phases=[PhaseConfig(replay=ReplayConfig(source="web"))]))
    output = TensorBoardOutput(tmp_path, {"config": "run: {}"}, layout_of(config))
    output.train(replace(TRAIN, sources={name: SourceProgress("ko", 1_000, 4_000, 1.25, 0.8) for name in sources}))
    output.validation([VALIDATION])
    recovered = Gap.begin(0, 1.0, higher_is_better=False).after(10, 2.0).after(30, 0.5)
    output.measures([GapRecord(30, "general/loss", recovered, final=True)])
    output.close()
    reader = read(tmp_path)
    [event] = reader.Tensors(CONFIG_SUMMARY_TAG)
    charts = charts_of(Layout.FromString(event.tensor_proto.string_val[0]), reader.Tags()["scalars"])
    for name in sources:
        assert sorted(charts[f"{name}: intended and realised"]) == [
            f"mixture/{name}/intended",
            f"mixture/{name}/realised",
        ]
    assert len(charts["replay: intended and realised"]) == 3
    assert charts["validation loss by language"] == ["validation/ko/loss"]
    assert charts["bits per byte by source"] == ["validation/ko/web/bits_per_byte"]
    assert [tags for title, tags in charts.items() if title.startswith(("gain", "depth", "length"))] == [
        ["gap/general/loss/gain"], ["gap/general/loss/depth"], ["gap/general/loss/length"],
    ]  # fmt: skip
    assert scalars(reader, "gap/general/loss/length") == [(30, 30)]


def test_runs_of_the_same_sources_share_their_charts() -> None:
    sources = {"web": SourceConfig(language="ko")}
    runs = [Config(data=DataConfig(sources=sources, phases=[PhaseConfig(name=name)])) for name in "ab"]
    assert layout_of(runs[0]) == layout_of(runs[1])


def test_what_was_written_is_visible_before_the_run_ends(tmp_path: Path) -> None:
    output = TensorBoardOutput(tmp_path, {})
    output.train(TRAIN)
    assert scalars(read(tmp_path), "train/loss") == [(5_000, 2.5)]
    output.close()


def test_a_resume_hides_the_points_beyond_it_and_keeps_the_others(tmp_path: Path) -> None:
    first = TensorBoardOutput(tmp_path, {})
    for tokens in (1_000, 2_000, 3_000, 4_000):
        first.train(replace(TRAIN, tokens=tokens, loss=1.0))
    first.close()
    second = TensorBoardOutput(tmp_path, {})
    second.event("resume", {"tokens": 2_000, "attempt": 2})
    second.train(replace(TRAIN, tokens=3_000, loss=2.0))
    second.close()
    assert scalars(read(tmp_path), "train/loss") == [(1_000, 1.0), (2_000, 1.0), (3_000, 2.0)]


def test_two_attempts_in_one_second_do_not_share_a_file(tmp_path: Path) -> None:
    outputs = [TensorBoardOutput(tmp_path, {}) for _ in range(3)]
    assert len({output.path for output in outputs}) == 3
    for output in outputs:
        output.close()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(StorageError, match="tensorboard: cannot be written"):
        TensorBoardOutput(tmp_path / "tensorboard", {})
