"""The parts of an expression over metadata; each says which rows of a batch fit.

A test is two-valued: a null or NaN fits none, `is null` apart. Numbers are compared as 64-bit integers where both
sides are integers, else as 64-bit floats; strings by code point.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from megakor.errors import ConfigError

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARROW_COMPARISONS = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
_SHOWN = 100
_INT64 = np.iinfo(np.int64)


class Condition(Protocol):
    """Anything that fits some rows and not others."""

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        """bool (rows,). `text` is the whole expression, for messages. Raises ConfigError."""
        ...


@dataclass(frozen=True)
class Values:
    """One side of a test over a batch: what kind it is, its values, and where they are known."""

    kind: str
    """number, string, boolean, or null for a column without a single value"""
    values: Any
    """numbers and booleans: a NumPy array (rows,) or a scalar; strings: an Arrow array or scalar"""
    known: np.ndarray
    """bool (rows,)"""


@dataclass(frozen=True)
class Literal:
    """A fixed value."""

    value: bool | int | float | str

    def over(self, metadata: pa.RecordBatch, _: str) -> Values:
        known = np.ones(metadata.num_rows, bool)
        value = self.value
        if isinstance(value, str):
            return Values("string", pa.scalar(value), known)
        if isinstance(value, bool):
            return Values("boolean", np.bool_(value), known)
        whole = float(value).is_integer() and _INT64.min <= value <= _INT64.max
        return Values("number", np.int64(int(value)) if whole else np.float64(value), known)


@dataclass(frozen=True)
class Field:
    """A column of the metadata."""

    name: str
    column: int
    """Where it stands in the expression, from 0."""

    def array(self, metadata: pa.RecordBatch, text: str) -> pa.Array:
        names = metadata.schema.names
        if self.name not in names:
            near = get_close_matches(self.name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
            raise complaint(text, self.column, f"the documents have no field {self.name!r}; {hint}")
        return metadata.column(names.index(self.name))

    def over(self, metadata: pa.RecordBatch, text: str) -> Values:
        array = self.array(metadata, text)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        known = array.is_valid().to_numpy(zero_copy_only=False)
        kind = array.type
        if pa.types.is_null(kind):
            return Values("null", None, known)
        if pa.types.is_boolean(kind):
            return Values("boolean", array.fill_null(False).to_numpy(zero_copy_only=False), known)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return Values("string", array, known)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            values = array.fill_null(0).to_numpy(zero_copy_only=False)
            values = _as_64_bits(values)
            return Values("number", values, known & ~np.isnan(values) if values.dtype.kind == "f" else known)
        raise complaint(text, self.column, f"{self.name} is of type {kind}, which an expression cannot test")


Operand = Field | Literal


@dataclass(frozen=True)
class Comparison:
    """left OPERATOR right; at least one of them is a field."""

    operator: str
    left: Operand
    right: Operand
    column: int

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        left, right = self.left.over(metadata, text), self.right.over(metadata, text)
        if "null" in (left.kind, right.kind):
            return np.zeros(metadata.num_rows, bool)
        if left.kind != right.kind:
            sides = f"a {left.kind} is compared with a {right.kind}"
            raise complaint(text, self.column, f"{sides}; strings stand in quotes, numbers and true or false do not")
        if left.kind == "boolean" and self.operator not in ("==", "!="):
            raise complaint(text, self.column, "true and false are compared with == or != only")
        if left.kind == "string":
            found = pc.call_function(_ARROW_COMPARISONS[self.operator], [left.values, right.values])
            return _bools(found)
        return COMPARISONS[self.operator](left.values, right.values) & left.known & right.known


@dataclass(frozen=True)
class Membership:
    """field in (values), or not in."""

    field: Field
    values: tuple[Literal, ...]
    negated: bool
    column: int

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        known = self.field.over(metadata, text).known
        found = np.zeros(metadata.num_rows, bool)
        for value in self.values:
            found |= Comparison("==", self.field, value, self.column).evaluate(metadata, text)
        return known & ~found if self.negated else found


@dataclass(frozen=True)
class Contains:
    """field contains a string."""

    field: Field
    part: str
    column: int

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        values = self.field.over(metadata, text)
        if values.kind == "null":
            return values.known
        if values.kind != "string":
            raise complaint(text, self.column, f"{self.field.name} is a {values.kind}; only strings contain strings")
        return _bools(pc.match_substring(values.values, self.part))


@dataclass(frozen=True)
class IsNull:
    """field is null, or is not null. NaN counts as null."""

    field: Field
    negated: bool

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        array = self.field.array(metadata, text)
        known = array.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(array.type):
            known = self.field.over(metadata, text).known
        return known if self.negated else ~known


@dataclass(frozen=True)
class Truth:
    """A field of true and false by itself."""

    field: Field

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        values = self.field.over(metadata, text)
        if values.kind == "null":
            return values.known
        if values.kind != "boolean":
            name = self.field.name
            raise complaint(text, self.field.column, f"{name} is a {values.kind}, not true or false; compare it")
        return np.asarray(values.values)


@dataclass(frozen=True)
class Negation:
    """not part."""

    part: Condition

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        return ~self.part.evaluate(metadata, text)


@dataclass(frozen=True)
class All:
    """Every part fits."""

    parts: tuple[Condition, ...]

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        return np.logical_and.reduce([part.evaluate(metadata, text) for part in self.parts])


@dataclass(frozen=True)
class Some:
    """At least one part fits."""

    parts: tuple[Condition, ...]

    def evaluate(self, metadata: pa.RecordBatch, text: str) -> np.ndarray:
        return np.logical_or.reduce([part.evaluate(metadata, text) for part in self.parts])


def complaint(text: str, column: int, problem: str) -> ConfigError:
    """An error that points at a column, from 0, of the expression; of a long one it shows a window."""
    first = max(0, column - _SHOWN // 2)
    shown = "".join(letter if letter.isprintable() else " " for letter in text[first : first + _SHOWN])
    return ConfigError(f"expression, column {column + 1}: {problem}\n  {shown}\n  {' ' * (column - first)}^")


def _as_64_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.astype(np.float64, copy=False)
    if values.dtype == np.uint64 and values.size and values.max() > _INT64.max:
        return values.astype(np.float64)
    return values.astype(np.int64, copy=False)


def _bools(found: pa.Array) -> np.ndarray:
    return found.fill_null(False).to_numpy(zero_copy_only=False)
