"""docs/config.md and the schema say the same."""

from pathlib import Path

import pytest

from megakor.config.check_values import CHOICES, RANGES
from megakor.config.names import FOREIGN_NAMES, all_keys
from megakor.config.reference import reference_markdown, with_reference

PAGE = Path(__file__).parents[2] / "docs" / "config.md"


def test_the_page_holds_the_table_that_the_schema_gives() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_reference(page) == page, "renew it: python -m megakor.config.reference docs/config.md"


def test_every_key_is_on_the_page_and_every_value_is_explained() -> None:
    table = reference_markdown()
    for key in all_keys():
        assert f"`{key}`" in table or f"### {key}" in table, key
    assert not [row for row in table.splitlines() if row.startswith("| `") and row.endswith("|  |")]


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_reference("# Configuration")


def test_ranges_choices_and_other_names_speak_of_keys_that_exist() -> None:
    keys = set(all_keys())
    for key in (*RANGES, *CHOICES, *FOREIGN_NAMES.values()):
        inside = key.removesuffix(".N").removesuffix(".NAME")
        assert key in keys or (inside != key and inside in keys), key
