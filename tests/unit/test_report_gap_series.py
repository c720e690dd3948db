"""Which losses and scores make the series of a stability gap, while a run goes on and afterwards."""

from __future__ import annotations

import json
import math

import pytest

from megakor.config.schema import Config, EvaluationSourceConfig
from megakor.config.schema_data import SourceConfig
from megakor.report.gap_series import GapTracker, curves_of, groups_of, scores_at
from megakor.report.measures import ProbeRecord, WeightsRecord
from megakor.report.metrics import surviving
from megakor.report.records import ValidationRecord

GROUPS = {"wiki": "general", "law": "domain", "news": "general"}


def losses(tokens: int, wiki: float, news: float, law: float) -> list[ValidationRecord]:
    return [
        ValidationRecord(0, tokens, "wiki", "en", wiki, 100, 400),
        ValidationRecord(0, tokens, "news", "ko", news, 300, 400),
        ValidationRecord(0, tokens, "law", "ko", law, 50, 400),
    ]


def probes(tokens: int, korean: float, english: float) -> list[ProbeRecord]:
    return [
        ProbeRecord(0, tokens, "exam", "ko", "domain", 10, {"accuracy": korean}),
        ProbeRecord(0, tokens, "exam", "en", "domain", 30, {"accuracy": english}),
        ProbeRecord(0, tokens, "copy", "", "", 4, {"first_copy_loss": 5.0, "copying_gain": 1.0}),
    ]


def test_sources_are_grouped_by_their_tags_else_by_language() -> None:
    config = Config()
    config.data.sources = {"law": SourceConfig("x", "ko", ["domain", "web"]), "plain": SourceConfig("y", "ko")}
    config.evaluation.sources = {"wiki": EvaluationSourceConfig("z", "en", ["general"])}
    assert groups_of(config) == {"law": "domain", "plain": "ko", "wiki": "general"}


def test_losses_are_means_over_tokens_and_scores_over_items() -> None:
    found = scores_at(losses(0, 2.0, 4.0, 3.0), probes(0, 0.5, 0.9), GROUPS)
    assert found == {
        "general/loss": pytest.approx(3.5),
        "domain/loss": 3.0,
        "domain/exam/accuracy": pytest.approx(0.8),
        "copy/copying_gain": 1.0,
    }


def test_what_is_no_number_is_left_out() -> None:
    assert "domain/loss" not in scores_at(losses(0, 2.0, 4.0, math.nan), [], GROUPS)


def test_a_run_that_goes_on_and_its_metrics_tell_the_same_after_a_restart_too() -> None:
    points = [(0, 2.0, 0.5), (10, 2.5, 0.4), (20, 2.25, 0.6), (30, 1.5, 0.7)]
    lines, tracker = [], GapTracker(GROUPS)
    for tokens, loss, accuracy in points:
        now = losses(tokens, loss, loss, 1.0), probes(tokens, accuracy, accuracy)
        lines += [record.line() for records in now for record in records]
        records = tracker.add(tokens, *now)
        restarted = GapTracker(GROUPS)
        restarted.load_state_dict(json.loads(json.dumps(tracker.state_dict())))
        tracker = restarted
    gaps = {record.series: record.gap for record in records}
    curves = curves_of(surviving(lines), GROUPS)
    assert curves["general/loss"] == [(0, 2.0), (10, 2.5), (20, 2.25), (30, 1.5)]
    assert gaps.keys() == curves.keys()
    assert (gaps["general/loss"].depth, gaps["general/loss"].length) == (0.5, 30)
    assert gaps["domain/exam/accuracy"].depth == pytest.approx(0.1)
    assert gaps["domain/loss"].depth == 0


def test_one_evaluation_says_nothing() -> None:
    assert GapTracker(GROUPS).add(0, losses(0, 2.0, 4.0, 3.0), []) == []


def test_a_dip_is_told_while_it_lasts_and_everything_at_the_end() -> None:
    tracker = GapTracker(GROUPS)
    tracker.add(0, losses(0, 2.0, 2.0, 3.0), [])
    general, domain = tracker.add(1_000, losses(1_000, 2.5, 2.5, 2.0), [])
    assert "general/loss is 0.5000 worse" in general.words() and domain.words() == ""
    final = [record.words() for record in tracker.records(1_000, final=True)]
    assert "not recovered, final gain -0.5000" in final[0] and "no dip, final gain +1.0000" in final[1]
    assert general.line()["length"] is None and general.scalars()["gap/general/loss/gain"] == -0.5


def test_lines_of_one_evaluation_are_told_apart_and_repeated_ones_replaced() -> None:
    first, again = probes(0, 0.5, 0.9), probes(0, 0.6, 0.9)
    lines = [record.line() for record in (*first, *again)]
    assert [line.get("accuracy") for line in surviving(lines)] == [0.6, 0.9, None]
    assert ProbeRecord.from_line(lines[0]) == first[0]


def test_a_record_of_weights_has_bottom_top_and_ratio() -> None:
    record = WeightsRecord(1, 10, [0.4, 0.2, 0.1, 0.1], 2, 3.0)
    line = record.line()
    assert (line["bottom"], line["top"], line["ratio"]) == (pytest.approx(0.3), 0.1, pytest.approx(3.0))
    assert line["layers"] == {"0": 0.4, "1": 0.2, "2": 0.1, "3": 0.1}
    still = WeightsRecord(0, 0, [0.0, 0.0], 1, 0.0)
    assert still.ratio is None and still.words() == "" and "weights/ratio" not in still.scalars()
