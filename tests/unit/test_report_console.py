"""What a person sees while a run trains."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.report.console import ConsoleOutput, train_line, validation_lines
from megakor.report.records import SourceProgress, TrainRecord, ValidationRecord
from megakor.units import compact, duration, percent

TRAIN = TrainRecord(
    12, 12_000, 2.51239, 3e-4, 1.5, batch_tokens=1_000, seconds=0.5, sequence_length=100,
    sources={
        "web": SourceProgress("ko", 500, 1, 0.0, 0.5),
        "books": SourceProgress("ko", 200, 1, 0.0, 0.2),
        "wiki": SourceProgress("en", 300, 1, 0.0, 0.3),
    },
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_step_is_one_line_with_loss_languages_speed_and_time_left() -> None:
    assert train_line(TRAIN, 100_000, recent_tokens_per_second=1_000) == (
        "step     12 | 12.0K/100K tokens 12.0 % | loss 2.5124 | en 30% ko 70% | lr 3.00e-04 | grad 1.500 "
        "| 2.00K tok/s | 1m28s left"
    )


def test_utilization_and_a_skipped_step_are_said_when_there_is_something_to_say() -> None:
    line = train_line(replace(TRAIN, mfu=0.412, skipped=True), 100_000, 1_000)
    assert "| mfu 41.2 % |" in line and "loss 2.5124 (skipped)" in line
    assert "mfu" not in train_line(TRAIN, 100_000, 1_000)


def test_lines_come_every_few_steps_and_for_the_first_and_the_last_step() -> None:
    stream = io.StringIO()
    console = ConsoleOutput(total_tokens=12_500, every=5, stream=stream)
    for step in range(2, 14):
        console.train(replace(TRAIN, step=step, tokens=step * 1_000))
    console.close()
    assert re.findall(r"step +(\d+)", stream.getvalue()) == ["2", "5", "10", "13"]


def test_without_a_terminal_every_line_is_plain_ascii() -> None:
    stream = io.StringIO()
    console = ConsoleOutput(100_000, 1, stream)
    console.train(TRAIN)
    console.event("checkpoint", {"tokens": 12_000})
    console.close()
    assert stream.getvalue().isascii() and "\x1b" not in stream.getvalue()
    assert stream.getvalue().splitlines()[-1] == "checkpoint | tokens 12000"


def test_on_a_terminal_the_bar_stands_under_the_lines() -> None:
    stream = Terminal()
    console = ConsoleOutput(24_000, 1, stream)
    console.train(TRAIN)
    console.close()
    assert "50%" in stream.getvalue()[stream.getvalue().index("loss 2.5124") :]


def test_a_full_log_disk_does_not_end_the_run() -> None:
    console = ConsoleOutput(100_000, 1, FullDisk())
    console.train(TRAIN)
    console.close()


def test_the_time_left_follows_the_speed_of_the_last_steps() -> None:
    stream = io.StringIO()
    console = ConsoleOutput(10**6, 1, stream)
    console.train(replace(TRAIN, step=0, seconds=1_000.0))
    for step in range(1, 21):
        console.train(replace(TRAIN, step=step, tokens=900_000, seconds=1.0))
    assert stream.getvalue().splitlines()[-1].endswith("1m40s left"), "the slow first step is forgotten"


def test_a_language_with_several_sources_shows_them_under_its_mean() -> None:
    korean = ValidationRecord(0, 0, "web", "ko", 2.0, 100, 300)
    lines = validation_lines([korean, replace(korean, source="books", loss=4.0), replace(korean, language="en")])
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ko", "3.0000"], ["web", "2.0000"], ["books", "4.0000"], ["en", "2.0000"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00K"),
        (12_345, "12.3K"),
        (999_499, "999K"),
        (999_999, "1.00M"),
        (2e12, "2.00T"),
    ],
)
def test_numbers_are_shortened_to_three_digits(number: float, text: str) -> None:
    assert compact(number) == text


@given(st.integers(1_000, 10**15 - 10**12))
def test_a_shortened_number_is_within_half_a_percent(number: int) -> None:
    text = compact(number)
    value = float(text[:-1]) * {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[text[-1]]
    assert value == pytest.approx(number, rel=0.0051) and len(text.replace(".", "")) == 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (60, "1m00s"),
        (75, "1m15s"),
        (3_600, "1h00m"),
        (90_061, "1d01h"),
        (8_640_000, "100d00h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_percent_has_one_digit_after_the_point() -> None:
    assert percent(0.12345) == "12.3 %"
