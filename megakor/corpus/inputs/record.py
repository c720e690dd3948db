"""One line of JSON to a record, with or without orjson, to the same outcome; and what can be wrong with a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from megakor.corpus.inputs.records import Fields, Problem

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
Getter = Callable[[Any], Any]


def fast_loads() -> Callable[[memoryview], Any]:
    """A parser that is right about what it accepts; lines that it refuses (ValueError) are for `record_of`.

    It is orjson's where that is installed. Neither lets a lone surrogate pass.
    """
    try:
        import orjson
    except ImportError:
        return _loads
    return orjson.loads


def _loads(raw: memoryview) -> Any:
    line = bytes(raw)
    if _SURROGATE.search(line):
        raise ValueError("an escaped surrogate, which may be alone")
    return parse(line)


def parse(raw: bytes) -> Any:
    """Like `json.loads` of UTF-8, but a number that 64 bits cannot hold is a float, as in orjson. Raises ValueError."""
    return json.loads(raw.decode("utf-8"), parse_int=_integer)


def _integer(digits: str) -> int | float:
    if len(digits) > 20:
        return float(digits)
    value = int(digits)
    return value if -(1 << 63) <= value < 1 << 64 else float(digits)


def getter(key: str) -> Getter:
    """Reads `key` of a record: the key itself, else its dots enter nested objects. Raises LookupError or TypeError."""
    if "." not in key:
        return itemgetter(key)
    parts = key.split(".")

    def nested(record: Any) -> Any:
        if key in record:
            return record[key]
        for part in parts:
            record = record[part]
        return record

    return nested


class Field:
    """Reads a key that a record need not have, and counts the records that lack it."""

    def __init__(self, key: str) -> None:
        self._get = getter(key)
        self.lacking = 0

    def get(self, record: Any) -> Any:
        """The value; None where the record has no such key."""
        try:
            return self._get(record)
        except (LookupError, TypeError):
            self.lacking += 1
            return None


def json_kind(value: Any) -> str:
    """What a parsed value is, in the words of JSON, with its article."""
    names = {bool: "true or false", str: "a text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def record_of(raw: bytes, fields: Fields, place: str) -> dict[str, Any] | Problem:
    """The object on a line, with a text; or the problem with the line. Slow and thorough."""
    key = fields.text
    try:
        record = parse(raw)
    except UnicodeDecodeError as error:
        return Problem(
            "utf-8",
            f"{place}: not valid UTF-8 at byte {error.start} of the line; "
            "convert the file (for Korean often: iconv -f CP949 -t UTF-8).",
        )
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        return Problem("json", f"{place}: not valid JSON ({reason}); each line must be one JSON object.")
    if not isinstance(record, dict):
        kind = json_kind(record)
        return Problem("json", f'{place}: not a JSON object but {kind}; write {{"{key}": "..."}}.')
    return _problem_of_text(record, key, place) or _problem_of_metadata(record, fields.metadata, place) or record


def _problem_of_text(record: dict[str, Any], key: str, place: str) -> Problem | None:
    try:
        text = getter(key)(record)
    except (LookupError, TypeError):
        there = ", ".join(sorted(map(ascii, record))[:8]) or "none"
        sentence = f"no key {key!r} (keys here: {there}); name the key of the text with --json-keys."
        return Problem("missing key", f"{place}: {sentence}")
    if not isinstance(text, str):
        return Problem("wrong type", f"{place}: the value of {key!r} is {json_kind(text)}, not a text.")
    if not _has_utf_8(text):
        return Problem("surrogate", f"{place}: the text holds a lone surrogate (half a character); it has no UTF-8.")
    return None


def _problem_of_metadata(record: dict[str, Any], keys: tuple[str, ...], place: str) -> Problem | None:
    for key in keys:
        if not _has_utf_8(json.dumps(Field(key).get(record), ensure_ascii=False)):
            return Problem("surrogate", f"{place}: the value of {key!r} holds a lone surrogate; it has no UTF-8.")
    return None


def _has_utf_8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
