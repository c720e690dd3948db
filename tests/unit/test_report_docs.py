"""docs/reports.md names everything that a run reports."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from megakor.curriculum.stability_gap import Gap
from megakor.data.probe_items import ChoiceItem
from megakor.report.measures import GapRecord, Measure, ProbeRecord, WeightsRecord
from megakor.report.records import SourceProgress, TrainRecord, ValidationRecord
from megakor.report.tensorboard import measure_scalars, train_scalars, validation_scalars
from megakor.train.learning_rate import DECAY_SHAPES, SCHEDULES
from megakor.train.probes import judge_choices, judge_copies

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
TRAIN = TrainRecord(
    1, 1_000, 2.5, 3e-4, 1.5, batch_tokens=1_000, seconds=0.5, sequence_length=100, attention_span=50.0, mfu=0.4,
    host_peak_bytes=1, device_peak_bytes=1, sources={"SOURCE": SourceProgress("LANGUAGE", 1, 1, 0.0, 1.0)},
)  # fmt: skip
VALIDATION = ValidationRecord(0, 0, "SOURCE", "LANGUAGE", 2.5, 100, 300)
MEASURES: list[Measure] = [
    ProbeRecord(0, 0, "PROBE", "LANGUAGE", "DOMAIN", 2, {"SCORE": 0.5}),
    WeightsRecord(0, 0, [0.2, 0.1], 1, 1.0),
    GapRecord(0, "SERIES", Gap.begin(0, 1.0, higher_is_better=True), final=True),
]
SCORES = [*judge_choices([ChoiceItem("q", ("a", "b"), 0)], np.ones(2)), *judge_copies(np.ones(2), np.ones(2))]


def test_every_key_of_a_line_is_explained() -> None:
    keys = TRAIN.line().keys() | TRAIN.line()["sources"]["SOURCE"].keys() | VALIDATION.line().keys()
    keys |= {key for measure in MEASURES for key in measure.line()} - {"SCORE"}
    keys |= {name for *_, scores in SCORES for name in scores}
    assert not [key for key in keys if f"`{key}`" not in PAGE]


def test_every_scalar_is_listed() -> None:
    named = re.findall(r"`((?:\w+/)+\w+)`(?:, `\.\.\./(\w+)`)?", PAGE)
    listed = {tag for tag, _ in named} | {f"{tag.rpartition('/')[0]}/{other}" for tag, other in named if other}
    written = train_scalars(TRAIN) | validation_scalars([VALIDATION]) | measure_scalars(MEASURES)
    groups = {tag.partition("/")[0] for tag in written}
    assert set(written) == {tag for tag in listed if tag.partition("/")[0] in groups}


def test_every_schedule_and_shape_is_listed() -> None:
    assert not [name for name in (*SCHEDULES, *DECAY_SHAPES) if f"`{name}`" not in PAGE]
