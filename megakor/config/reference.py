"""The table of all keys, made from the schema. To renew it: `python -m megakor.config.reference docs/config.md`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_origin

from megakor.config import schema, schema_controllers, schema_data, schema_resilience, schema_training
from megakor.config.names import annotations_of, is_tokens, without_none, yaml_name
from megakor.config.quantities import format_tokens
from megakor.config.schema import Config

BEGIN = "<!-- keys: made by python -m megakor.config.reference docs/config.md -->"
END = "<!-- keys: end -->"
SCHEMAS = (schema, schema_training, schema_data, schema_controllers, schema_resilience)


@cache
def _texts() -> dict[tuple[str, str], str]:
    """The string under each field of the schema, by (class, field)."""
    texts = {}
    modules = [ast.parse(inspect.getsource(module)).body for module in SCHEMAS]
    for cls in chain.from_iterable(modules):
        if isinstance(cls, ast.ClassDef):
            for field, text in zip(cls.body, cls.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                ):
                    texts[cls.name, field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return texts


def reference_markdown() -> str:
    """A heading and a table for each block of keys. NAME stands for a name of your own, N for a place in a list."""
    return "\n".join(_block(Config, "")).strip() + "\n"


def _block(cls: Any, prefix: str) -> list[str]:
    rows, inner = [], []
    for field in dataclasses.fields(cls):
        key = prefix + yaml_name(field.name)
        annotation = without_none(annotations_of(cls)[yaml_name(field.name)])
        nested, place = _nested(annotation)
        if nested is not None:
            inner += _block(nested, f"{key}.{place}")
        if nested is None or (cls.__name__, field.name) in _texts():
            text = _texts().get((cls.__name__, field.name), "")
            rows.append(f"| `{key}` | {_type_words(annotation)} | {_default(field, annotation)} | {text} |")
    heading = f"### {prefix.rstrip('.') or 'At the top'}"
    table = [heading, "", "| key | value | default | |", "|---|---|---|---|", *rows, ""] if rows else []
    return table + inner


def _nested(annotation: Any) -> tuple[Any, str]:
    """The dataclass inside an annotation and what stands between its key and theirs."""
    if dataclasses.is_dataclass(annotation):
        return annotation, ""
    item = get_args(annotation)[-1] if get_origin(annotation) in (dict, list) else None
    if dataclasses.is_dataclass(item):
        return item, "NAME." if get_origin(annotation) is dict else "N."
    return None, ""


def _type_words(annotation: Any) -> str:
    if is_tokens(annotation):
        return "tokens"
    if get_origin(annotation) is list:
        return f"list of {_type_words(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"NAME: {_type_words(get_args(annotation)[1])}"
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return words.get(annotation, "block")


def _default(field: dataclasses.Field[Any], annotation: Any) -> str:
    value = field.default
    if value is dataclasses.MISSING or value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{format_tokens(value) if is_tokens(annotation) else value}`"


def with_reference(page: str) -> str:
    """`page` with the text between the two markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no markers for the table of keys")
    return f"{before}{BEGIN}\n\n{reference_markdown()}\n{END}{after}"


if __name__ == "__main__":
    _page = Path(sys.argv[1])
    _page.write_text(with_reference(_page.read_text(encoding="utf-8")), encoding="utf-8")
