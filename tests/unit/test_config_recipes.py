"""configs/recipes/: each runs dry, says what is published of its system, and marks everything else as assumed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from published_figures import CONFIGS, Figure, figures, named, said

from megakor.cli import main
from megakor.config.check import valid_config
from megakor.config.load import Loaded, load, load_config, save_config
from megakor.config.phases import steps_of
from megakor.config.tree import leaves
from megakor.curriculum.schedule import Schedule

RECIPES = sorted(path.stem for path in (CONFIGS / "recipes").glob("*.yaml"))
FIGURES = figures()
FEWEST = 3
"""Published numbers of a system that has a recipe; one with fewer is in the table of docs/recipes.md alone."""
OF_THE_USER = re.compile(
    r"(run|cluster|parallel|evaluation|checkpoint|report)\..*|device|train\.(micro_batch_size|precision|recompute)"
    r"|data\.tokenizer|data\.sources\.NAME\.(path|language|validation|tags.*)|model\.vocabulary_multiple"
    r"|data\.phases\.N\.(name|evaluation.*|replay\.(source|tag))"
)
"""Keys that say where and how a run is made, and what things are called, not what was trained."""
WITHOUT_TORCH = """
import sys
from megakor.cli import main
for path in sys.argv[1:]:
    assert main(["pretrain", path, "--dry-run"]) == 0, path
heavy = [name for name in ("torch", "megatron", "transformers") if name in sys.modules]
assert not heavy, heavy
"""


def path_of(config: str) -> Path:
    return CONFIGS / f"{config}.yaml"


@cache
def loaded(config: str) -> Loaded:
    return load(path_of(config))


@cache
def values(config: str) -> dict[str, object]:
    return said(loaded(config).config)


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_prints_the_plan_without_a_warning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", str(path_of(f"recipes/{name}")), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "warning" not in plan and "Not checked" in plan
    assert all(phase.name in plan for phase in loaded(f"recipes/{name}").config.data.phases)


def test_dry_runs_import_neither_torch_nor_megatron() -> None:
    paths = [str(path_of(f"recipes/{name}")) for name in ("afriquellm", "stability_gap", "yulan_mini")]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *paths], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("figure", FIGURES, ids=[f"{figure.config}-{figure.figure}" for figure in FIGURES])
def test_a_config_says_what_was_published(figure: Figure) -> None:
    found = {key: value for key, value in values(figure.config).items() if fnmatchcase(key, figure.figure)}
    found = {key: value for key, value in found.items() if value is not None}
    assert found, f"{figure.config} has no {figure.figure}"
    wrong = {key: value for key, value in found.items() if not figure.agrees(value)}
    assert not wrong, f"{figure.source} says {figure.value}"


@pytest.mark.parametrize("name", RECIPES)
def test_everything_that_is_not_published_is_marked_as_assumed(name: str) -> None:
    recipe = loaded(f"recipes/{name}")
    config, unmarked = recipe.config, []
    for leaf in leaves(config):
        origin = recipe.origins.get(leaf.key)
        if origin is None or leaf.value is None or OF_THE_USER.fullmatch(leaf.schema_key):
            continue
        blocks = [".".join(leaf.path[:end]) for end in range(1, len(leaf.path) + 1)]
        if any("# assumed" in line_at(recipe.origins[block]) for block in blocks if block in recipe.origins):
            continue
        tables = (f"recipes/{name}", config_at(origin))
        key = named(config, leaf.key)
        if not any(line.config in tables and fnmatchcase(key, line.figure) for line in FIGURES):
            unmarked.append(f"{leaf.key} ({origin})")
    assert not unmarked


def line_at(origin: str) -> str:
    file, _, number = origin.rpartition(":")
    return Path(file).read_text(encoding="utf-8").splitlines()[int(number) - 1]


def config_at(origin: str) -> str:
    return str(Path(origin.rpartition(":")[0]).resolve().relative_to(CONFIGS).with_suffix(""))


def test_every_recipe_has_enough_published_numbers_and_every_line_a_source() -> None:
    numbers = Counter(figure.config for figure in FIGURES if figure.number is not None)
    assert {f"recipes/{name}" for name in RECIPES} <= numbers.keys()
    assert all(numbers[f"recipes/{name}"] >= FEWEST for name in RECIPES)
    assert all(figure.source and figure.precision in ("exact", "rounded") for figure in FIGURES)
    lines = Counter((figure.config, figure.figure) for figure in FIGURES)
    assert max(lines.values()) == 1


def test_a_figure_that_is_off_by_a_digit_is_seen() -> None:
    def agrees(value: str, precision: str, config_says: object) -> bool:
        return Figure("", "", value, precision, "").agrees(config_says)

    assert agrees("2.42B", "rounded", 2_424_000_000) and not agrees("2.42B", "rounded", 2_431_000_000)
    assert agrees("35%", "rounded", 0.3549) and not agrees("35%", "rounded", 0.3601)
    assert agrees("3e-5", "exact", 3e-5) and not agrees("3e-5", "exact", 3.1e-5)
    assert agrees("true", "exact", True) and not agrees("1", "exact", True)


@pytest.mark.parametrize("name", RECIPES)
def test_the_page_lists_it_with_its_head(name: str) -> None:
    page = (CONFIGS.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert f"`{name}.yaml`" in page
    head = path_of(f"recipes/{name}").read_text(encoding="utf-8").split("\n\n")[0]
    assert head.startswith("# ") and "arXiv" in head and "Published:" in head


@pytest.mark.parametrize("name", RECIPES)
def test_it_can_be_written_down_and_read_back(tmp_path: Path, name: str) -> None:
    config = load_config(path_of(f"recipes/{name}"))
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config


def test_twenty_seven_phases_that_end_in_a_longer_context() -> None:
    config, _ = valid_config(path_of("recipes/yulan_mini"))
    schedule = Schedule.compile(config)
    assert len(schedule.phases) == 27 and schedule.longest_sequence == 28_672
    assert schedule.batch_tokens_at(config.train.tokens - 1) == 144 * 28_672 == 1008 * 4096
    assert sum(counted.tokens for counted in steps_of(config)) - config.train.tokens < 1008 * 4096


def test_the_run_of_the_slurm_script_is_the_recipe_of_kormo() -> None:
    recipe, run = (load_config(path_of(config)) for config in ("recipes/kormo", "pretrain_10b"))
    assert (recipe.model, recipe.lr, recipe.optimizer, recipe.data) == (run.model, run.lr, run.optimizer, run.data)
    assert recipe.train.tokens == run.train.tokens == sum(phase.tokens or 0 for phase in run.data.phases)
