"""The type of a field, and the text of a value, depend on the values alone, however they come together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.build.columns import common_schema, conformed
from megakor.corpus.build.values import columns_by_kind, groups_by_kind, mixed_fields, settled, settled_schema

LARGE = 2**53 + 1
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(),
    st.lists(st.integers()),
)


def field(batches: list[list[Any]]) -> pa.ChunkedArray:
    """The column that these batches give in the end."""
    tables = [pa.table(columns_by_kind("f", batch)) for batch in batches if batch]
    schema = common_schema(table.schema for table in tables)
    rows = pa.concat_tables([conformed(table, schema) for table in tables])
    return settled(rows, settled_schema(schema))["f"]


@pytest.mark.parametrize(
    ("given", "kind", "kept"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, LARGE], pa.int64(), [1, LARGE]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([LARGE, 2.5], pa.string(), [str(LARGE), "2.5"]),
        ([True, None], pa.bool_(), [True, None]),
        ([True, 1], pa.string(), ["true", "1"]),
        (["가", 1, 2.5, None], pa.string(), ["가", "1", "2.5", None]),
        ([{"a": 1}, None], pa.string(), ['{"a": 1}', None]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
        ([None, None], pa.null(), [None, None]),
    ],
)
def test_values_get_the_narrowest_type_that_loses_nothing(given: list[Any], kind: pa.DataType, kept: list[Any]) -> None:
    assert field([given]).type == kind
    assert field([given]).to_pylist() == kept


@given(st.lists(values, min_size=1, max_size=12), st.lists(st.integers(1, 11), max_size=4))
def test_how_values_come_together_changes_nothing(given: list[Any], cuts: list[int]) -> None:
    edges = [0, *sorted({cut for cut in cuts if cut < len(given)}), len(given)]
    whole, parts = field([given]), field([given[a:b] for a, b in pairwise(edges)])
    assert whole.type == parts.type
    assert whole.to_pylist() == parts.to_pylist()


def test_fields_that_are_text_for_want_of_a_common_type_are_told() -> None:
    tables = [columns_by_kind("a", [1, "x"]), columns_by_kind("b", ["x"]), columns_by_kind("c", [1, 2.0])]
    schema = pa.schema([(name, column.type) for columns in tables for name, column in columns.items()])
    assert mixed_fields(schema) == ["a"]


@given(st.lists(st.tuples(values, values), max_size=12))
def test_every_row_is_in_the_group_of_its_kinds(rows: list[tuple[Any, Any]]) -> None:
    groups = groups_by_kind({"a": [row[0] for row in rows], "b": [row[1] for row in rows]}, len(rows))
    assert sorted(number for group in groups.values() for number in group) == list(range(len(rows)))
