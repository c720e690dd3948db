"""Metadata of documents as Arrow columns whose types agree over all tasks of a build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from megakor.corpus import metadata
from megakor.errors import ConfigError

OWN = (*metadata.COLUMNS.names, "prefix_tokens", "suffix_tokens")
_RESERVED = (*OWN, "_key", "_start", "_length")


def check_names(names: Sequence[str]) -> None:
    """Raises ConfigError for a chosen field whose column the build itself writes."""
    for name in names:
        if not name:
            raise ConfigError("--metadata-keys: an empty name; leave it out.")
        if name in _RESERVED:
            raise ConfigError(
                f"--metadata-keys {name}: the build writes a column of this name itself; for a language or source of "
                "each document use --language-key or --source-key."
            )


def name_column(names: Sequence[str] | str, rows: int) -> pa.Array:
    """A dictionary column: one name for all rows, or one for each."""
    if isinstance(names, str):
        return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([names], pa.string()))
    return pa.array(names, pa.string()).dictionary_encode()


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """One schema for all rows of a shard: the build's own columns first, then the fields by name.

    Numbers widen; a field whose types do not go together is text everywhere.
    """
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for column in schema:
            types[column.name] = _common(types.get(column.name, column.type), column.type)
    own = [name for name in OWN if name in types]
    names = own + sorted(set(types) - set(own))
    return pa.schema([(name, types[name]) for name in names])


def conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in this schema; a column that they lack is null."""
    columns = []
    for column in schema:
        if column.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, column.type))
        elif rows.schema.field(column.name).type == column.type:
            columns.append(rows.column(column.name))
        else:
            columns.append(_cast(rows.column(column.name), column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    try:
        schemas = [pa.schema([("value", kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field("value").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == pa.string() and not pa.types.is_null(column.type):
        return pa.chunked_array([pa.array([_text(value) for value in column.to_pylist()], kind)])
    return pc.cast(column, kind)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
