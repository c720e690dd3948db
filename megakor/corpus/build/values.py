"""Values of chosen fields whose type is decided when all of them are known.

A run keeps every kind of value of a field in a column of its own, exactly as it was read. So the type of the field in
the shard, and the text of a value that becomes text, depend on the values alone, not on which of them stood together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_MARK = "\0"
"""Between the name of a field and a kind."""
_EXACT = 1 << 53
"""Whole numbers beyond it are not all floats."""
NOTHING, TRUTH, NUMBER, LARGE, FRACTION, TEXT = "nothing", "truth", "number", "large", "fraction", "text"
_TYPES = {
    NOTHING: pa.null(),
    TRUTH: pa.bool_(),
    NUMBER: pa.int64(),
    LARGE: pa.int64(),
    FRACTION: pa.float64(),
    TEXT: pa.string(),
}


def kind_of(value: Any) -> str:
    """The kind of one value; lists, objects and numbers beyond 64 bits are texts (their JSON)."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return NUMBER if abs(value) <= _EXACT else LARGE
    return FRACTION if isinstance(value, float) else TEXT


def columns_by_kind(name: str, values: Sequence[Any]) -> dict[str, pa.Array]:
    """A column for every kind among the values, null where a value is of another one."""
    kinds = [kind_of(value) for value in values]
    columns = {}
    for kind in sorted(set(kinds) - {NOTHING}) or [NOTHING]:
        own = [value if found == kind else None for value, found in zip(values, kinds, strict=True)]
        texts = [_text(value) for value in own] if kind == TEXT else own
        columns[f"{name}{_MARK}{kind}"] = pa.array(texts, _TYPES[kind])
    return columns


def settled_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with one column for each field: other columns as they are, then the fields by name."""
    fields = {name: type_of(kinds) for name, kinds in _kinds_by_field(schema.names).items()}
    return pa.schema([*(column for column in schema if _MARK not in column.name), *sorted(fields.items())])


def settled(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in a schema that `settled_schema` gave."""
    there = {name: rows.column(name) for name in rows.column_names}
    arrays = [
        there[wanted.name] if wanted.name in there else _one_column(there, wanted.name, wanted.type, rows.num_rows)
        for wanted in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def mixed_fields(schema: pa.Schema) -> list[str]:
    """Fields that become text because of other values than texts."""
    kinds = _kinds_by_field(schema.names)
    return sorted(name for name in kinds if type_of(kinds[name]) == pa.string() and kinds[name] - {NOTHING, TEXT})


def type_of(kinds: set[str]) -> pa.DataType:
    """The type of a field with values of these kinds: whole numbers and fractions go together as long as nothing is
    lost, everything else that is mixed is text."""
    kinds = kinds - {NOTHING}
    if not kinds:
        return pa.null()
    if kinds <= {NUMBER, LARGE}:
        return pa.int64()
    if kinds <= {NUMBER, FRACTION}:
        return pa.float64()
    return _TYPES[kinds.pop()] if len(kinds) == 1 else pa.string()


def _kinds_by_field(columns: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for column in columns:
        name, mark, kind = column.rpartition(_MARK)
        if mark:
            found.setdefault(name, set()).add(kind)
    return found


def _one_column(columns: Mapping[str, pa.ChunkedArray], name: str, kind: pa.DataType, rows: int) -> pa.ChunkedArray:
    parts = [columns[f"{name}{_MARK}{part}"] for part in _TYPES if f"{name}{_MARK}{part}" in columns]
    if kind == pa.string():
        parts = [_as_text(part) for part in parts]
    cast = [pc.cast(part, kind) for part in parts]
    if not cast:
        return pa.chunked_array([pa.nulls(rows, kind)])
    return cast[0] if len(cast) == 1 else pc.coalesce(*cast)


def groups_by_kind(fields: Mapping[str, Sequence[Any]], rows: int) -> dict[tuple[str, ...], list[int]]:
    """Rows whose values are of the same kinds in all fields; whole numbers of any size are of one kind."""
    kinds = [[NUMBER if kind == LARGE else kind for kind in map(kind_of, values)] for values in fields.values()]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*kinds, strict=True) if kinds else [()] * rows):
        groups.setdefault(tuple(key), []).append(row)
    return groups


def plain_column(values: Sequence[Any], kind: str) -> pa.Array:
    """Values of one kind as a column."""
    return pa.array([_text(value) for value in values] if kind == TEXT else values, _TYPES[kind])


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type == pa.string():
        return column
    return pa.chunked_array([pa.array([_text(value) for value in column.to_pylist()], pa.string())])


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
