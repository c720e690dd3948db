from __future__ import annotations

import pytest

from megakor.units import counted, data_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_234, "1.23 kB"),
        (999_960, "1.00 MB"),
        (25_300_000_000, "25.3 GB"),
        (4e12, "4.00 TB"),
    ],
)
def test_a_data_size_has_three_digits_and_a_unit(size: float, text: str) -> None:
    assert data_size(size) == text


def test_one_thing_is_no_plural() -> None:
    assert [counted(number, "task") for number in (0, 1, 2070)] == ["0 tasks", "1 task", "2,070 tasks"]
