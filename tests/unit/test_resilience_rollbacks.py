"""Where a rollback goes, when it is one too many, and the file that survives a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from megakor.errors import DataError, DivergedError
from megakor.resilience.rollbacks import NAME, Rollback, finish, planned, read_rollbacks, write_rollbacks

NEW = Rollback(0, 1000, 10, "loss_spike", "the loss is high")
EARLIER = [Rollback(100, 300, 3, "loss_spike", "", True), Rollback(500, 700, 7, "not_finite", "", True)]


@pytest.mark.parametrize(("back", "to"), [(1, 800), (2, 600), (3, 400), (9, 400)])
def test_it_goes_back_as_many_checkpoints_as_are_asked_for_and_there(back: int, to: int) -> None:
    assert planned([], [600, 400, 800], back, 3, None, NEW).to == to


def test_more_than_are_allowed_in_a_while_are_a_stop() -> None:
    assert planned(EARLIER, [800], 1, 3, None, NEW).to == 800
    assert planned(EARLIER, [800], 1, 2, 600, NEW).to == 800
    with pytest.raises(DivergedError, match="gone back 2 times"):
        planned(EARLIER, [800], 1, 2, None, NEW)


def test_without_a_checkpoint_there_is_no_way_back() -> None:
    with pytest.raises(DivergedError, match="no checkpoint yet"):
        planned([], [], 1, 3, None, NEW)


def test_the_file_says_what_is_still_to_be_done(tmp_path: Path) -> None:
    assert read_rollbacks(tmp_path) == []
    write_rollbacks(tmp_path, [*EARLIER, NEW])
    assert read_rollbacks(tmp_path) == [*EARLIER, NEW]
    finish(tmp_path)
    assert read_rollbacks(tmp_path) == [*EARLIER, replace(NEW, done=True)]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"to": 1}]', "{}x"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(DataError, match=NAME):
        read_rollbacks(tmp_path)
