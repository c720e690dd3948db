"""Templates such as '{url}\\n': literal text and fields of a document."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from megakor.errors import ConfigError

_PART = re.compile(r"(\{\{|\}\}|\\n|\\t|\\\\|\{[^{}]*\}|[{}])")
_LITERALS = {"{{": "{", "}}": "}", "\\n": "\n", "\\t": "\t", "\\\\": "\\"}
LONGEST = 64 << 10
"""Bytes of a template: it stands before or after every document."""
_NAME = re.compile(r"[^{}!:\[\]()]+")


@dataclass(frozen=True)
class Template:
    """Literal text and names of fields in turn: literals[0], fields[0], literals[1], ..."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, option: str) -> Template:
        r"""Parse `{field}` placeholders; `{{` and `}}` stand for braces, `\n`, `\t`, `\\` for newline, tab, backslash.

        A dot enters nested objects. Nothing else of Python's format language is known: a template reads fields and
        cannot reach anything else.

        Raises ConfigError, naming `option` and the column, and for a template of more than LONGEST bytes.
        """
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > LONGEST:
            raise ConfigError(
                f"{option} {text[:40]!r}...: {size:,} bytes before or after every document; at most {LONGEST:,} are "
                "taken."
            )
        literals, names, column = [""], [], 1
        for part in _PART.split(text):
            if part in _LITERALS:
                literals[-1] += _LITERALS[part]
            elif part.startswith("{") and part.endswith("}") and len(part) > 1:
                names.append(_field_name(part, f"{option} {text!r}, column {column}"))
                literals.append("")
            elif part in ("{", "}"):
                raise ConfigError(
                    f"{option} {text!r}, column {column}: a lone '{part}'. Write {{field}} for a field, "
                    f"'{part}{part}' for the brace itself."
                )
            else:
                literals[-1] += part
            column += len(part)
        return cls(tuple(literals), tuple(names))

    def fill(self, values: Sequence[str | None]) -> str:
        """The text for the values of `fields`, in their order; empty if one of them is None."""
        parts = [self.literals[0]]
        for value, literal in zip(values, self.literals[1:], strict=True):
            if value is None:
                return ""
            parts += (value, literal)
        return "".join(parts)


def value_text(value: Any) -> str | None:
    """A value as it stands in a template; None for what counts as absent."""
    if isinstance(value, str):
        if not value:
            return None
        # A JSON string may hold half a surrogate pair, which no tokenizer takes.
        return value if value.isascii() else value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(text for item in value if (text := value_text(item)) is not None) or None
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return str(value)


def _field_name(placeholder: str, where: str) -> str:
    name = placeholder[1:-1].strip()
    if not name:
        raise ConfigError(f"{where}: '{placeholder}' names no field.")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: '{placeholder}': only the name of a field may stand in braces, such as {{url}}.")
    return name
