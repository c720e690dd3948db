"""Conditions over the metadata of documents, such as `quality >= 3 and not synthetic`, parsed without `eval`.

    condition   = all, { "or", all }
    all         = negated, { "and", negated }
    negated     = "not", negated | "(", condition, ")" | test
    test        = operand, [ comparisons | [ "not" ] "in" list | "is" [ "not" ] "null" | "contains" string ]
    comparisons = ( "==" | "!=" | "<" | "<=" | ">" | ">=" ), operand, { the same again }
    operand     = field | number | string | "true" | "false"

A field is a name (`quality`, `meta.url`) or anything between backticks; a string stands between single or double
quotes. `a < b < c` means `a < b and b < c`. A field alone must hold true and false. A test of a null or NaN is false,
`!=` included, so `not quality >= 3` keeps documents whose quality is unknown; `quality is null` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from megakor.corpus.fields.conditions import (
    COMPARISONS,
    All,
    Comparison,
    Condition,
    Contains,
    Field,
    IsNull,
    Literal,
    Membership,
    Negation,
    Operand,
    Some,
    Truth,
    complaint,
)
from megakor.errors import ConfigError

_DEEPEST = 100
_LONGEST_INTEGER = 19
"""Characters; a longer number is a float, since the metadata hold no larger integers."""
_WORDS = {"and", "or", "not", "in", "is", "null", "true", "false", "contains"}
_TOKEN = re.compile(
    r"""(?P<number>[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?)(?![\w.])
      | (?P<name>[^\W\d]\w*(?:\.\w+)*)
      | (?P<quoted>`[^`]+`)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<symbol>==|!=|<=|>=|<|>|\(|\)|,)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Expression:
    """A parsed condition."""

    text: str
    fields: tuple[str, ...]
    """Names of the metadata fields it reads, in the order of their first use."""
    _condition: Condition

    def evaluate(self, metadata: pa.RecordBatch) -> np.ndarray:
        """Which rows fit, bool (rows,). Raises ConfigError for a missing field or one of a type that does not fit."""
        return self._condition.evaluate(metadata, self.text)


def parse(text: str) -> Expression:
    """Raises ConfigError, which points at the column, for what is not an expression."""
    parser = _Parser(text, _tokens(text))
    condition = parser.condition(0)
    parser.expect_end()
    return Expression(text, tuple(parser.fields), condition)


@dataclass(frozen=True)
class _Token:
    kind: str
    """number, name, word, quoted, string, symbol or end"""
    text: str
    column: int
    """From 0."""


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while (place := place + len(text[place:]) - len(text[place:].lstrip())) < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            hint = " Use == to compare." if text[place] == "=" else ""
            hint = " The string has no end." if text[place] in "'\"" else hint
            raise complaint(text, place, f"{text[place]!r} is not understood here.{hint}")
        kind = str(match.lastgroup)
        if kind == "name" and match[0].lower() in _WORDS:
            kind = "word"
        tokens.append(_Token(kind, match[0].lower() if kind == "word" else match[0], place))
        place = match.end()
    return [*tokens, _Token("end", "the end", len(text))]


class _Parser:
    """Recursive descent, one method a rule of the grammar above."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.fields: dict[str, None] = {}
        self._text = text
        self._tokens = tokens
        self._next = 0

    def condition(self, depth: int) -> Condition:
        return self._list("or", lambda: self._all(depth), Some)

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._complaint("expected 'and', 'or' or the end")

    def _all(self, depth: int) -> Condition:
        return self._list("and", lambda: self._negated(depth), All)

    def _list(
        self, word: str, part: Callable[[], Condition], together: Callable[[tuple[Condition, ...]], Condition]
    ) -> Condition:
        parts = [part()]
        while self._accept("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else together(tuple(parts))

    def _negated(self, depth: int) -> Condition:
        if depth > _DEEPEST:
            raise self._complaint(f"more than {_DEEPEST} conditions stand inside one another")
        if self._accept("word", "not"):
            return Negation(self._negated(depth + 1))
        if self._accept("symbol", "("):
            inner = self.condition(depth + 1)
            self._expect("symbol", ")")
            return inner
        return self._test()

    def _test(self) -> Condition:
        left = self._operand()
        place = self._token.column
        if self._token.text in COMPARISONS:
            return self._comparisons(left)
        field = self._field(left)
        if self._accept("word", "is"):
            negated = self._accept("word", "not")
            self._expect("word", "null")
            return IsNull(field, negated)
        if self._accept("word", "contains"):
            return Contains(field, self._string(), place)
        if self._accept("word", "not"):
            self._expect("word", "in")
            return Membership(field, self._values(), True, place)
        if self._accept("word", "in"):
            return Membership(field, self._values(), False, place)
        return Truth(field)

    def _comparisons(self, left: Operand) -> Condition:
        parts: list[Condition] = []
        while self._token.text in COMPARISONS:
            operator = self._take()
            right = self._operand()
            if isinstance(left, Literal) and isinstance(right, Literal):
                raise complaint(self._text, operator.column, "two fixed values are compared; compare a field")
            parts.append(Comparison(operator.text, left, right, operator.column))
            left = right
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _operand(self) -> Operand:
        token = self._token
        if token.kind in ("name", "quoted"):
            name = self._take().text.strip("`")
            self.fields[name] = None
            return Field(name, token.column)
        if token.kind == "number":
            text = self._take().text
            return Literal(float(text) if re.search(r"[.eE]", text) or len(text) > _LONGEST_INTEGER else int(text))
        if token.kind == "string":
            return Literal(self._string())
        if token.kind == "word" and token.text in ("true", "false"):
            return Literal(self._take().text == "true")
        raise self._complaint("expected a field or a value")

    def _field(self, operand: Operand) -> Field:
        if isinstance(operand, Literal):
            raise self._complaint("expected a comparison after the value")
        return operand

    def _values(self) -> tuple[Literal, ...]:
        self._expect("symbol", "(")
        values: list[Literal] = []
        while not values or self._accept("symbol", ","):
            place = self._token.column
            value = self._operand()
            if isinstance(value, Field):
                raise complaint(self._text, place, "a list after 'in' holds values, not fields; quote strings")
            values.append(value)
        self._expect("symbol", ")")
        return tuple(values)

    def _string(self) -> str:
        text = self._expect("string", None).text
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _accept(self, kind: str, text: str) -> bool:
        found = self._token.kind == kind and self._token.text == text
        self._next += found
        return found

    def _expect(self, kind: str, text: str | None) -> _Token:
        if self._token.kind != kind or text not in (None, self._token.text):
            raise self._complaint(f"expected {text!r}" if text else f"expected a {kind}")
        return self._take()

    def _complaint(self, wanted: str) -> ConfigError:
        found = self._token.text if self._token.kind == "end" else repr(self._token.text)
        hint = "; test for null with 'is null' or 'is not null'" if self._token.text == "null" else ""
        return complaint(self._text, self._token.column, f"{wanted}, found {found}{hint}")
