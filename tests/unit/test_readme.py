"""The front page: two languages that say the same, links that lead somewhere, commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from megakor.cli import main

ROOT = Path(__file__).parents[2]
ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def without_comments(block: str) -> list[str]:
    return [line.split("  #")[0].rstrip() for line in block.splitlines()]


def headings(page: Path) -> list[str]:
    """The level of each heading, such as ##, in order."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(#+) ", text, flags=re.MULTILINE)


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return [link for link in found if "://" not in link]


def test_both_languages_have_the_same_sections() -> None:
    assert headings(ENGLISH) == headings(KOREAN) != []


def test_both_languages_show_the_same_commands_and_output() -> None:
    english, korean = code_blocks(ENGLISH), code_blocks(KOREAN)
    assert [without_comments(block) for block in english] == [without_comments(block) for block in korean] != []


def test_both_languages_point_to_the_same_pages() -> None:
    other = {"README.md", "README.ko.md"}
    assert set(links(ENGLISH)) - other == set(links(KOREAN)) - other


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_tool_script_and_config_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"\b(?:tools|slurm|configs)/[\w/]+\.(?:py|sh|yaml)", page.read_text(encoding="utf-8"))
    assert [
        path for path in named if not (ROOT / path).is_file() and path not in ("configs/mine.yaml", "configs/RUN.yaml")
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_that_is_named_exists(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^(?:    |\$ )?(megakor [a-z].*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for verb in {shlex.split(line.removesuffix("\\"), comments=True)[1] for line in lines}:
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0, f"{page.name} names megakor {verb}"
