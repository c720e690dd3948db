"""Metadata columns have one type over all tasks, whatever each of them has seen."""

from __future__ import annotations

import pyarrow as pa
import pytest

from megakor.corpus.build.columns import check_names, common_schema, conformed, name_column
from megakor.errors import ConfigError


def test_tasks_that_saw_other_types_agree_on_one_schema() -> None:
    tables = [
        pa.table({"text_bytes": [5], "quality": pa.array([1])}),
        pa.table({"text_bytes": [6], "quality": pa.array([2.5]), "url": pa.array(["u"])}),
        pa.table({"text_bytes": [7], "quality": pa.array([None]), "url": pa.array([3])}),
    ]
    schema = common_schema(table.schema for table in tables)
    assert schema.names == ["text_bytes", "quality", "url"]
    whole = pa.concat_tables([conformed(table, schema) for table in tables])
    assert whole["quality"].to_pylist() == [1.0, 2.5, None]
    assert whole["url"].to_pylist() == [None, "u", "3"]


def test_the_schema_does_not_depend_on_the_order_of_the_tasks() -> None:
    schemas = [pa.schema([("a", kind)]) for kind in (pa.int64(), pa.string(), pa.null(), pa.float64())]
    assert common_schema(schemas) == common_schema(reversed(schemas)) == pa.schema([("a", pa.string())])


def test_a_field_that_no_document_has_takes_any_type_later() -> None:
    nulls = common_schema([pa.schema([("rare", pa.null())])])
    assert nulls.field("rare").type == pa.null()
    assert common_schema([nulls, pa.schema([("rare", pa.int64())])]).field("rare").type == pa.int64()


def test_a_name_for_all_rows_and_a_name_for_each_are_the_same_kind_of_column() -> None:
    assert name_column("ko", 2).to_pylist() == ["ko", "ko"]
    assert name_column(["ko", "en"], 2).to_pylist() == ["ko", "en"]
    assert name_column("ko", 0).type == name_column([], 0).type


def test_a_field_named_like_an_own_column_is_refused() -> None:
    with pytest.raises(ConfigError, match="--metadata-keys language"):
        check_names(["quality", "language"])
