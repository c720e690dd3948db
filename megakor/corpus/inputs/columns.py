"""Rows of Arrow record batches to documents: which columns are read, and what can be wrong with a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from megakor.corpus.inputs.records import BATCH_BYTES, BATCH_DOCUMENTS, Fields, Problem, Records
from megakor.errors import DataError

Path = tuple[str, ...]
"""Name of a column, and of the fields inside it."""


@dataclass(frozen=True)
class Columns:
    """Where the text and the metadata of a table stand."""

    path: str
    """Of the file, for messages."""
    text: Path
    metadata: dict[str, Path | None]
    """None for a field that the table has not got."""

    @classmethod
    def of(cls, schema: pa.Schema, fields: Fields, path: str) -> Columns:
        """Raises DataError where there is no column for the text, or it holds no text, or two columns have the name of
        one that is wanted."""
        for name in (fields.text, *fields.metadata):
            if schema.names.count(name) > 1:
                raise DataError(f"{path}: {schema.names.count(name)} columns are named {name!r}; rename all but one.")
        text = find(schema, fields.text)
        if text is None:
            there = ", ".join(map(repr, schema.names[:20])) or "none"
            raise DataError(
                f"{path}: no column {fields.text!r} (columns here: {there}); "
                "name the column of the text with --json-keys."
            )
        kind = _type(schema, text)
        if not _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
            raise DataError(f"{path}: column {fields.text!r} holds {kind}, not text.")
        return cls(path, text, {name: find(schema, name) for name in fields.metadata})

    @property
    def wanted(self) -> list[str]:
        """Names to give to a reader that can leave columns out."""
        paths = [self.text, *(path for path in self.metadata.values() if path)]
        return list(dict.fromkeys(".".join(path) for path in paths))


def find(schema: pa.Schema, key: str) -> Path | None:
    """The column of that name, else the one that its dots lead to; None if there is none, or two of one name."""
    if schema.get_field_index(key) >= 0:
        return (key,)
    path = tuple(key.split("."))
    try:
        _type(schema, path)
    except LookupError:
        return None
    return path


def _type(schema: pa.Schema, path: Path) -> pa.DataType:
    """Raises LookupError for a path that leads nowhere."""
    first, *inner = path
    if schema.get_field_index(first) < 0:
        raise LookupError(first)
    kind = schema.field(first).type
    for name in inner:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            raise LookupError(name)
        kind = kind.field(name).type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    return str(kind) in {"string", "large_string", "string_view", "binary", "large_binary", "binary_view"}


def rows_at_once(rows: int, text_bytes: int) -> int:
    """Rows of a table that make a batch, for so many bytes of text in so many rows."""
    return max(1, min(BATCH_DOCUMENTS, BATCH_BYTES * rows // max(1, text_bytes)))


def documents(batch: pa.RecordBatch, columns: Columns, first_row: int) -> Iterator[Records]:
    """The documents of a batch whose first row is number `first_row` of the file.

    Metadata come as JSON would have them: dates and decimals as their text. Raises pa.ArrowException for damage.
    """
    text = _column(batch, columns.text)
    metadata = {name: _column(batch, path) for name, path in columns.metadata.items() if path}
    step = rows_at_once(len(text), text.nbytes)
    for start in range(0, len(text), step):
        rows = {name: column.slice(start, step) for name, column in metadata.items()}
        records = _records(text.slice(start, step), rows, columns, first_row + start)
        records.lacking = {name: len(records.texts) for name, path in columns.metadata.items() if path is None}
        yield records


def _column(batch: pa.RecordBatch, path: Path) -> pa.Array:
    """One column in a type that Python has, its offsets checked: Arrow must not read outside the memory of a file."""
    column = batch.column(batch.schema.get_field_index(path[0]))
    column.validate()
    for name in path[1:]:
        column = pc.struct_field(column, name)
    _check(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if str(kind) in {"string_view", "binary_view"}:
        column = column.cast(pa.large_binary())
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    names = {"binary": pa.string(), "large_binary": pa.large_string()}
    return column.view(names[str(column.type)]) if str(column.type) in names else column


def _check(column: pa.Array) -> None:
    names = {"string": pa.binary(), "large_string": pa.large_binary()}
    # Whether bytes are UTF-8 is for each document to say.
    column.view(names.get(str(column.type), column.type)).validate(full=True)


def _records(text: pa.Array, metadata: dict[str, pa.Array], columns: Columns, first: int) -> Records:
    if not text.null_count:
        try:
            values = {name: metadata[name].to_pylist() if name in metadata else None for name in columns.metadata}
            texts = text.to_pylist()
        except ValueError:  # one of the rows; which, is found below
            return _row_by_row(text, metadata, columns, first)
        lists = {name: [None] * len(texts) if column is None else column for name, column in values.items()}
        return Records(list(range(first, first + len(texts))), texts, lists)
    return _row_by_row(text, metadata, columns, first)


def _row_by_row(text: pa.Array, metadata: dict[str, pa.Array], columns: Columns, first: int) -> Records:
    """The same, slowly, with the problem of each row that has one."""
    records = Records(metadata={name: [] for name in columns.metadata})
    for row in range(len(text)):
        place = f"{columns.path}, row {first + row}"
        try:
            value = text[row].as_py()
            others = {name: metadata[name][row].as_py() if name in metadata else None for name in columns.metadata}
        except UnicodeDecodeError as error:
            records.problems.append(Problem("utf-8", f"{place}: not valid UTF-8 at byte {error.start} of the value."))
            continue
        except ValueError as error:
            records.problems.append(Problem("wrong type", f"{place}: a value cannot be read ({error})."))
            continue
        if value is None:
            sentence = f"{place}: the value of {'.'.join(columns.text)!r} is null, not a text."
            records.problems.append(Problem("wrong type", sentence))
            continue
        records.positions.append(first + row)
        records.texts.append(value)
        for name, other in others.items():
            records.metadata[name].append(other)
    return records
