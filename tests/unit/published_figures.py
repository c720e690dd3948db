"""What is published of the systems in configs/recipes/ (published.csv), and what a config says in its place."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from megakor.config.parameters import count_parameters
from megakor.config.phases import steps_of
from megakor.config.quantities import DECIMAL_UNITS
from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.config.tree import leaves

CONFIGS = Path(__file__).parents[2] / "configs"
TABLE = CONFIGS / "recipes" / "published.csv"
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)([KMBT%]?)")
_PERCENT = Decimal("0.01")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    config: str
    """A file under configs/, without its suffix."""
    figure: str
    """A key with the names of phases in the place of their numbers, or what `said` computes; * stands for any name."""
    value: str
    precision: str
    """exact, or rounded: less than a unit of the last digit away, since papers round and cut off."""
    source: str

    @property
    def number(self) -> Decimal | None:
        """The value, where it is a number."""
        match = _NUMBER.fullmatch(self.value)
        return Decimal(match[1]) * _size(match[2]) if match else None

    @property
    def unit(self) -> Decimal:
        """What the last printed digit of a number stands for."""
        match = _NUMBER.fullmatch(self.value)
        assert match is not None, f"{self.value} is no number"
        return Decimal(1).scaleb(int(Decimal(match[1]).as_tuple().exponent)) * _size(match[2])

    def agrees(self, said: object) -> bool:
        """Whether a config that says `said` says what was published."""
        if self.number is None:
            return str(said).lower() == self.value.lower()
        if isinstance(said, bool) or not isinstance(said, int | float):
            return False
        if self.precision == "rounded":
            return abs(said - float(self.number)) < float(self.unit)
        return math.isclose(said, self.number, rel_tol=1e-9)


def _size(unit: str) -> Decimal:
    return _PERCENT if unit == "%" else Decimal(DECIMAL_UNITS.get(unit, 1))


def figures() -> list[Figure]:
    """Every line of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [Figure(**line) for line in csv.DictReader(file)]


def said(config: Config) -> dict[str, object]:
    """Every value of a config by its key, with the names of phases, and what follows from them.

    Weights are shares of the phase's tokens, with replay and ramps in them.
    """
    languages = {source.language for source in config.data.sources.values()}
    found: dict[str, object] = {named(config, leaf.key): leaf.value for leaf in leaves(config)}
    found["phases"], found["languages"] = len(config.data.phases), len(languages)
    found["lr.minimum/lr.peak"] = config.lr.minimum / config.lr.peak
    if config.model.vocabulary_size is not None:
        count = count_parameters(config.model, config.model.vocabulary_size)
        found["parameters"] = count.total
        found["parameters.both_tables"] = count.non_embedding + 2 * count.embedding
    counted = [] if any(span.phase.unknown for span in steps_of(config)) else steps_of(config)
    tokens = dict.fromkeys(config.data.sources, 0.0)
    for steps in counted:
        for source, share in steps.shares().items():
            found[f"data.phases.{steps.phase.name}.weights.{source}"] = share
            tokens[source] += share * steps.tokens
    return found | _sums(config.data.sources, tokens)


def _sums(sources: Mapping[str, SourceConfig], tokens: Mapping[str, float]) -> dict[str, object]:
    """Tokens of a language over the run, the share of a tag, and the share of a tag in a language."""
    everything = math.fsum(tokens.values()) or 1.0
    found: dict[str, object] = {}
    for tag in {tag for source in sources.values() for tag in source.tags}:
        tagged = [name for name, source in sources.items() if tag in source.tags]
        found[f"share.tag.{tag}"] = _sum(tokens, tagged) / everything
        for language in {sources[name].language for name in tagged}:
            spoken = [name for name, source in sources.items() if source.language == language]
            both = _sum(tokens, [name for name in tagged if name in spoken])
            found[f"share.tag.{tag}.of.language.{language}"] = both / (_sum(tokens, spoken) or 1.0)
    for language in {source.language for source in sources.values()}:
        spoken = [name for name, source in sources.items() if source.language == language]
        found[f"tokens.language.{language}"] = _sum(tokens, spoken)
    return found


def _sum(tokens: Mapping[str, float], names: Iterable[str]) -> float:
    return math.fsum(tokens[name] for name in names)


def named(config: Config, key: str) -> str:
    """A dotted key with the name of a phase in the place of its number."""
    match = re.match(r"data\.phases\.(\d+)(\..*)?$", key)
    return f"data.phases.{config.data.phases[int(match[1])].name}{match[2] or ''}" if match else key
