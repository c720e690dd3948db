"""Expressions over metadata: the grammar, nulls, and messages that point at the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.corpus.fields.expression import parse
from megakor.errors import ConfigError

ROWS = {
    "quality": [1, 3, None, 5],
    "synthetic": [False, False, None, True],
    "url": ["a", "b'c", None, "ko"],
    "score": [1.0, float("nan"), None, 2.5],
    "nothing": [None, None, None, None],
}
BATCH = pa.RecordBatch.from_pydict(ROWS)


def rows(text: str, batch: pa.RecordBatch = BATCH) -> list[int]:
    return np.flatnonzero(parse(text).evaluate(batch)).tolist()


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("quality >= 3 and not synthetic", [1]),
        ("1 < quality <= 3", [1]),
        ("quality == 1 or quality == 5 and synthetic", [0, 3]),
        ("(quality == 1 or quality == 5) and synthetic", [3]),
        ("quality in (1, 5.0)", [0, 3]),
        ("url not in ('a')", [1, 3]),
        ("url == 'b\\'c'", [1]),
        ('url contains "o"', [3]),
        ("`url` < 'b'", [0]),
        ("synthetic == true", [3]),
        ("score < quality", [3]),
        ("quality == 99999999999999999999", []),
        ("quality > -1e3", [0, 1, 3]),
        ("quality is null", [2]),
        ("score IS NOT NULL", [0, 3]),
    ],
)
def test_an_expression_finds_its_rows(text: str, fitting: list[int]) -> None:
    assert rows(text) == fitting


def test_a_test_of_null_is_false_and_not_turns_it_round() -> None:
    assert 2 not in rows("quality != 7") and 2 not in rows("quality < 7")
    assert rows("not quality < 7") == [2]
    assert rows("nothing > 3 or nothing or nothing in (1) or nothing contains 'x'") == []


def test_nan_counts_as_null() -> None:
    assert rows("score != 1") == [3]
    assert rows("score is null") == [1, 2]


def test_strings_are_the_same_as_dictionaries() -> None:
    batch = pa.RecordBatch.from_pydict({"url": pa.array(ROWS["url"]).dictionary_encode()})
    assert rows("url > 'a' and url contains 'k'", batch) == [3]


def test_the_largest_integers_are_compared_exactly() -> None:
    batch = pa.RecordBatch.from_pydict({"id": pa.array([2**63 - 1, 2**63 - 2], pa.int64())})
    assert rows(f"id == {2**63 - 2}", batch) == [1]


def test_fields_are_named_once_in_order() -> None:
    assert parse("meta.b > 1 and a in (1) or meta.b is null").fields == ("meta.b", "a")


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("quality = 3", 9, "Use =="),
        ("quality >=", 11, "expected a field or a value"),
        ("(quality > 3", 13, "expected ')'"),
        ("quality > 3 url", 13, "expected 'and', 'or' or the end"),
        ("url == 'x", 8, "no end"),
        ("3 < 4", 3, "two fixed values"),
        ("3", 2, "expected a comparison"),
        ("url in (quality)", 9, "quote strings"),
        ("url in ()", 9, "expected a field or a value"),
        ("quality == null", 12, "is null"),
        ("__import__('os')", 11, "expected 'and'"),
        ("", 1, "expected a field"),
        ("not " * 300 + "synthetic", 405, "inside one another"),
        ("(" * 3000, 102, "inside one another"),
    ],
)
def test_a_wrong_expression_is_refused_at_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)
    first, _, pointer = str(error.value).split("\n")
    assert f"column {column}:" in first and words in first
    assert pointer.strip() == "^"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("qualty > 3", "did you mean quality?"),
        ("url > 3", "a string is compared with a number"),
        ("synthetic > false", "== or != only"),
        ("quality", "not true or false"),
        ("quality contains '3'", "only strings"),
    ],
)
def test_fields_that_do_not_fit_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        parse(text).evaluate(BATCH)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="quality url()'\"`<>=!.,notandris3-e\\ \n한", max_size=40))
def test_any_text_is_parsed_or_refused_in_words(text: str) -> None:
    try:
        parse(text).evaluate(BATCH)
    except ConfigError as error:
        assert "column" in str(error)


Row = dict[str, Any]
_values = st.one_of(st.none(), st.integers(-3, 3))


def _trees() -> st.SearchStrategy[tuple[str, Any]]:
    """Pairs of an expression's text and a function that says whether a row fits."""
    symbols = {"==": int.__eq__, "!=": int.__ne__, "<": int.__lt__, ">=": int.__ge__}

    def leaf(field: str, symbol: str, value: int) -> tuple[str, Any]:
        return f"{field} {symbol} {value}", lambda row: row[field] is not None and symbols[symbol](row[field], value)

    def join(word: str, left: tuple[str, Any], right: tuple[str, Any]) -> tuple[str, Any]:
        if word == "and":
            return f"({left[0]}) and ({right[0]})", lambda row: left[1](row) and right[1](row)
        return f"({left[0]}) or ({right[0]})", lambda row: left[1](row) or right[1](row)

    def inner(part: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
        negated = part.map(lambda tree: (f"not ({tree[0]})", lambda row: not tree[1](row)))
        return negated | st.builds(join, st.sampled_from(["and", "or"]), part, part)

    leaves = st.builds(leaf, st.sampled_from("ab"), st.sampled_from(list(symbols)), st.integers(-3, 3))
    return st.recursive(leaves, inner, max_leaves=8)


@settings(max_examples=200, deadline=None)
@given(_trees(), st.lists(st.fixed_dictionaries({"a": _values, "b": _values}), min_size=1, max_size=8))
def test_an_expression_means_what_python_would_mean(tree: tuple[str, Any], table: list[Row]) -> None:
    text, fits = tree
    batch = pa.RecordBatch.from_pydict({name: pa.array([row[name] for row in table], pa.int64()) for name in "ab"})
    assert parse(text).evaluate(batch).tolist() == [bool(fits(row)) for row in table]
