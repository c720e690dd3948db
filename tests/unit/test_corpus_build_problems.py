from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.build.problems import EXAMPLES, SHOWN, ProblemCounts
from megakor.corpus.inputs.records import Problem
from megakor.errors import DataError, ExitCode

problems_of_a_task = st.lists(st.sampled_from(["json", "utf-8", "missing key"]), max_size=40).map(
    lambda kinds: [Problem(kind, f"ko.jsonl:{line}: wrong.") for line, kind in enumerate(kinds, 1)]
)


def counted(*problems: Problem) -> ProblemCounts:
    counts = ProblemCounts()
    counts.extend(problems)
    return counts


@given(st.lists(problems_of_a_task, max_size=5))
def test_merging_the_tasks_counts_what_one_task_would_have_counted(tasks: list[list[Problem]]) -> None:
    merged = ProblemCounts()
    for problems in tasks:
        merged.merge(counted(*problems))
    assert merged == counted(*(problem for problems in tasks for problem in problems))
    assert merged.total == sum(len(problems) for problems in tasks)


@given(problems_of_a_task)
def test_counts_survive_a_marker(problems: list[Problem]) -> None:
    counts = counted(*problems)
    assert ProblemCounts.from_json(json.loads(json.dumps(counts.to_json()))) == counts


def test_the_first_examples_of_every_kind_are_kept_and_no_more() -> None:
    counts = counted(*(Problem("json", f"a.jsonl:{line}: no JSON.") for line in range(1, 1001)))
    assert counts.counts == {"json": 1000}
    assert counts.examples["json"] == [f"a.jsonl:{line}: no JSON." for line in range(1, EXAMPLES + 1)]


def test_the_first_problem_stops_a_build_that_skips_nothing() -> None:
    counts = counted(Problem("utf-8", "b.jsonl:7: not UTF-8."), Problem("json", "b.jsonl:9: no JSON."))
    with pytest.raises(DataError, match=r"b\.jsonl:7: not UTF-8\. .*--on-error skip") as caught:
        counts.check("fail")
    assert caught.value.exit_code == ExitCode.DATA


def test_skipping_stops_at_one_more_than_the_limit() -> None:
    counts = counted(*(Problem("json", f"a.jsonl:{line}: no JSON.") for line in range(3)))
    counts.check("skip")
    counts.check("skip", 3)
    with pytest.raises(DataError, match=r"3 documents cannot be read; 2 may be skipped\.\njson: 3\n  a\.jsonl:0"):
        counts.check("skip", 2)


def test_no_problem_is_no_error() -> None:
    ProblemCounts().check("fail")
    ProblemCounts().check("skip", 0)
    assert ProblemCounts().lines() == []


def test_lines_show_the_most_frequent_kind_first_and_say_what_they_leave_out() -> None:
    counts = counted(
        Problem("json", "a:1: no JSON."), *(Problem("utf-8", f"b:{line}: not UTF-8.") for line in range(SHOWN + 2))
    )
    assert counts.lines() == [
        f"utf-8: {SHOWN + 2}",
        *(f"  b:{line}: not UTF-8." for line in range(SHOWN)),
        "  and 2 more",
        "json: 1",
        "  a:1: no JSON.",
    ]
